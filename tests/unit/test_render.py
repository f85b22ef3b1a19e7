from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import golden
from lab.values import CHILD, INDEX, REVISION, a_manifest, a_project, an_environment
from selfdeploy import errors, manifest, render

HOSTILE = 'a"b: $x ${y}\n- {{ z }} </> \\ \x7f\x85\u2028 ü 😀'


def rendered(made: manifest.Manifest | None = None, **keys: object) -> dict[str, Any]:
    project = a_project(environments={"test": an_environment(4101, **keys)})
    told = yaml.safe_load(render.compose(project, "test", made or a_manifest()))
    assert isinstance(told, dict)
    return told


def test_the_compose_file_is_what_it_was() -> None:
    assert golden.COMPOSE.read_text() == golden.compose(), golden.RENEW


def test_equal_input_makes_equal_bytes_in_whatever_order_it_is_written() -> None:
    def compose(*names: str) -> str:
        variables, secrets = dict.fromkeys(names, "x"), {f"{name}_S": {"env": name} for name in names}
        test = an_environment(4101, variables=variables, secrets=secrets)
        return render.compose(a_project(environments={"test": test}), "test", a_manifest())

    assert compose("A", "B") == compose("B", "A")


def test_the_image_is_named_by_digest() -> None:
    server = rendered()["services"]["server"]

    assert server["image"] == f"127.0.0.1:5000/sf@{INDEX}"


def test_the_server_can_change_nothing_about_itself() -> None:
    server = rendered()["services"]["server"]

    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["user"] == "1000:1000"


def test_the_port_is_published_on_the_configured_address_or_else_loopback() -> None:
    here, there = (told["services"]["server"]["ports"] for told in (rendered(), rendered(bind="fd7a::1")))

    assert here == [{"target": 4000, "host_ip": "127.0.0.1", "published": "4101", "protocol": "tcp"}]
    assert there[0]["host_ip"] == "fd7a::1"


def test_the_server_is_told_what_the_contract_says() -> None:
    told = rendered()["services"]["server"]["environment"]

    assert told["SF_WEB_HOST"] == "0.0.0.0"  # noqa: S104 -- inside its own network namespace
    assert told["SF_WEB_PORT"] == "4000"
    assert told["SF_WEB_PROJECT_CWD"] == "/workspace"
    assert told["SF_RELEASE_MANIFEST"].startswith("/run/selfdeploy/")


def test_a_hostile_value_stays_a_value() -> None:
    server = rendered(variables={"V": HOSTILE})["services"]["server"]

    assert server["environment"]["V"] == HOSTILE.replace("$", "$$")  # which Compose reads as one
    assert set(server["environment"]) == {*rendered()["services"]["server"]["environment"], "V"}


def test_the_compose_file_is_plain_ascii_that_every_yaml_reader_reads_alike() -> None:
    test = an_environment(4101, variables={"V": HOSTILE})

    text = render.compose(a_project(environments={"test": test}), "test", a_manifest())

    assert text.isascii()
    assert "\\U0001f600" in text
    assert "\\ud83d" not in text


def test_a_secret_is_named_and_its_value_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "value-of-the-secret")
    test = an_environment(4101, secrets={"SF_AUTH_TOKEN": {"env": "TOKEN"}})

    text = render.compose(a_project(environments={"test": test}), "test", a_manifest())

    assert yaml.safe_load(text)["services"]["server"]["environment"]["SF_AUTH_TOKEN"] is None
    assert "value-of-the-secret" not in text


def test_a_replica_carries_its_release() -> None:
    made = a_manifest()

    assert rendered(made)["services"]["server"]["labels"] == {
        "org.opencontainers.image.revision": REVISION,
        "dev.selfdeploy.release": made.release,
        "dev.selfdeploy.digest": INDEX,
    }


def test_the_manifest_is_mounted_read_only_from_a_volume_that_its_content_names() -> None:
    made = a_manifest()
    other = a_manifest(image=made.image.model_copy(update={"digest": CHILD}))

    told = rendered(made)

    mounts = [mount for mount in told["services"]["server"]["volumes"] if mount["source"] == "manifest"]
    assert mounts == [{"type": "volume", "source": "manifest", "target": "/run/selfdeploy", "read_only": True}]
    assert told["volumes"]["manifest"] == {"name": render.manifest_name(made.release), "external": True}
    assert render.manifest_name(made.release) != render.manifest_name(other.release)


def test_the_grace_is_what_the_config_says() -> None:
    assert rendered(grace=0.5)["services"]["server"]["stop_grace_period"] == "0.5s"
    assert rendered(grace=90)["services"]["server"]["stop_grace_period"] == "90s"


def test_a_project_s_own_template_wins(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "compose.yml.j2").write_text("name: {{ project | tojson }}\n")

    assert render.compose(a_project(tmp_path), "prod", a_manifest()) == 'name: "sf-prod"\n'


def test_a_template_that_asks_for_what_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "compose.yml.j2").write_text("{{ prject }}")

    with pytest.raises(Exception, match="'prject' is undefined"):
        render.compose(a_project(tmp_path), "prod", a_manifest())


def test_in_a_page_no_value_is_markup(tmp_path: Path) -> None:
    (tmp_path / "page.html.j2").write_text("<p>{{ subject }}</p>")

    made = render.page("page.html.j2", {"subject": "<script>alert(1)</script>"}, a_project(tmp_path))

    assert made == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"


def test_a_page_s_template_that_names_what_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.html.j2").write_text("{{ nothing }}")

    with pytest.raises(errors.ConfigInvalid, match=r"page.html.j2: 'nothing' is undefined"):
        render.page("page.html.j2", {}, a_project(tmp_path))
