from pathlib import Path
from typing import Any

import pytest
import yaml

from selfdeploy import errors, render
from selfdeploy.config import deploy_toml
from selfdeploy.vega import mounts, translate

VALUES: dict[str, Any] = {
    "name": "sf-vega",
    "image": "sf-vega:1",
    "base": "b@sha256:2",
    "context": "/p/docker",
    "uid": 7,
    "gid": 8,
    "home": "/home/sf",
    "manifest": "/run/selfdeploy",
    "volume": "sf-vega-3",
    "bind": "::1",
    "port": "4000",
    "memory": None,
    "cpus": None,
    "labels": [("l", 'a"$b')],
    "mounts": [mounts.Mount(source=Path('/a,b/"$c'), target=Path("/workspace"))],
}


def rendered() -> str:
    return render.vega(deploy_toml.parse({}, root=Path("/nowhere")), VALUES)


def test_the_rendered_file_is_what_compose_takes() -> None:
    server = yaml.safe_load(rendered())["services"]["server"]

    assert server["command"] == ["node", "/opt/sf/dist/web/standalone/server.js"]
    assert server["user"] == "7:8"
    assert server["cap_drop"] == ["ALL"]
    assert server["labels"] == {"l": 'a"$$b'}
    assert server["volumes"][0]["source"] == '/a,b/"$$c'
    assert server["volumes"][0]["bind"] == {"create_host_path": False}


def test_docker_run_is_told_the_same_as_compose() -> None:
    run = translate.run(rendered())
    build = translate.build(rendered())

    assert run.image == build.tag == "sf-vega:1"
    assert build.file == "/p/docker/Dockerfile.source-server"
    assert build.args == {"BASE": "b@sha256:2", "UID": "7", "GID": "8"}
    assert build.network == "none"
    assert run.options["labels"] == {"l": 'a"$b'}
    assert run.options["publish"] == [("[::1]:4000", 4000)]
    assert run.options["mounts"] == [
        ['type=bind,"source=/a,b/""$c",target=/workspace'],
        ["type=volume,source=sf-vega-3,target=/run/selfdeploy,readonly"],
    ]
    assert run.options["stop_timeout"] == 15


@pytest.mark.parametrize("line", ["    privileged: true\n", "  other: {image: x}\n"])
def test_what_docker_run_would_not_be_told_is_refused(line: str) -> None:
    changed = rendered().replace("    restart: unless-stopped\n", "    restart: unless-stopped\n" + line)
    if line.startswith("  o"):
        changed = rendered().replace("volumes:\n  manifest", line + "volumes:\n  manifest")

    with pytest.raises(errors.ConfigInvalid, match="docker run would not be told"):
        translate.run(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stop_grace_period: 15s", "stop_grace_period: 1m"),
        ("    restart: unless-stopped\n", ""),
        ("interval: 10s", "interval: [10]"),
        ("services:", "services: 7\nother:"),
        ("services:", "services: {"),
    ],
)
def test_a_description_that_is_not_as_it_is_needed_is_refused_as_such(old: str, new: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=r"compose\.vega\.yml\.j2"):
        translate.run(rendered().replace(old, new))


def test_of_what_compose_runs_only_the_image_s_build_is_read() -> None:
    text = rendered().replace("    restart: unless-stopped\n", "    privileged: true\n")

    assert translate.build(text).tag == "sf-vega:1"
    with pytest.raises(errors.ConfigInvalid, match="KeyError"):
        translate.build(text.replace("    image:", "    platform:"))


def test_a_template_that_asks_for_what_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.vega.yml.j2").write_text("name: {{ nmae }}")

    with pytest.raises(errors.ConfigInvalid, match="nmae"):
        render.vega(deploy_toml.parse({}, root=tmp_path), VALUES)
