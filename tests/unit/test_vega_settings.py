from pathlib import Path

import pytest

from selfdeploy import errors
from selfdeploy.config import deploy_toml
from selfdeploy.vega import mounts, settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with SF's checkout, two repositories beside it and one elsewhere; one stands in it."""
    for name in ("code/sf", "code/x", "code/y", "elsewhere/z"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(
    home: Path, flags: settings.Flags | None = None, environment: dict[str, str] | None = None, **told: object
) -> settings.Settings:
    project = deploy_toml.parse({"source": {"path": "code/sf"}, "vega": told}, root=home)
    who = settings.Person(uid=1000, gid=1000, home=home)
    return settings.choose(project, flags or settings.Flags(), environment or {}, who)


def test_the_defaults_are_the_contract_s(home: Path) -> None:
    values = chosen(home)

    assert values.workspace == settings.Chosen(value=str(home / "code/sf"), origin="default")
    assert values.workspaces == settings.Chosen(value=str(home / "code"), origin="default")
    assert values.state.value == str(home / ".sf")
    assert (values.bind.value, values.port.value) == ("127.0.0.1", "4000")
    assert values.url == "http://127.0.0.1:4000"


def test_a_flag_wins_over_a_variable_and_that_over_deploy_toml(home: Path) -> None:
    environment = {"SF_WORKSPACE_DIR": "code/y", "SF_VEGA_BIND": "::1"}
    flags = settings.Flags(workspace="code/x", port="4001")
    told = {"workspace": "code/sf", "bind": "10.0.0.1", "port": 4002, "workspaces": "code"}

    everything = chosen(home, flags, environment, **told)
    variables = chosen(home, None, environment, **told)
    file = chosen(home, None, {}, **told)

    names = ("workspace", "bind", "port", "workspaces")
    origins = [[getattr(values, name).origin for name in names] for values in (everything, variables, file)]
    assert origins == [
        ["--workspace", "SF_VEGA_BIND", "--port", "deploy.toml"],
        ["SF_WORKSPACE_DIR", "SF_VEGA_BIND", "deploy.toml", "deploy.toml"],
        ["deploy.toml"] * 4,
    ]
    assert everything.workspace.value == str(home / "code/x")
    assert variables.url == "http://[::1]:4002"


def test_the_source_can_be_a_flag_or_a_variable(home: Path) -> None:
    assert chosen(home, settings.Flags(source="code/x")).source.origin == "--source"
    assert chosen(home, None, {"SF_SOURCE_DIR": "code/y"}).workspaces.value == str(home / "code")


@pytest.mark.parametrize("given", ["code/x", "code/x/", "~/code/x", "./code/../code/x", "link", "link/."])
def test_a_folder_can_be_named_as_a_person_names_it(home: Path, given: str) -> None:
    (home / "link").symlink_to(home / "code/x")

    values = chosen(home, settings.Flags(workspace=given))

    assert values.workspace.value == str(home / "code/x")


def test_the_folder_one_stands_in_can_be_the_workspace(home: Path) -> None:
    assert chosen(home, settings.Flags(workspace=".")).workspace.value == str(home)


def test_a_workspace_elsewhere_brings_its_own_parent_unless_both_were_asked_for(home: Path) -> None:
    values = chosen(home, settings.Flags(workspace="elsewhere/z"))

    assert values.workspaces == settings.Chosen(value=str(home / "elsewhere"), origin="the parent of --workspace")
    with pytest.raises(errors.MountRefused, match=r"is not below .* \(SF_WORKSPACES_DIR\)"):
        chosen(home, settings.Flags(workspace="elsewhere/z"), {"SF_WORKSPACES_DIR": "code"})


def test_other_workspaces_leave_the_default_workspace_alone(home: Path) -> None:
    values = chosen(home, settings.Flags(workspaces="elsewhere"))

    assert values.workspace.value == str(home / "code/sf")
    assert values.workspaces.value == str(home / "elsewhere")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"workspace": "nowhere"}, "no such folder"),
        ({"workspace": "file"}, "not a folder"),
        ({"workspaces": "loop"}, "loop"),
        ({"source": "nowhere"}, "--source"),
    ],
)
def test_a_folder_that_is_none_is_refused_with_its_origin(home: Path, flags: dict[str, str], said: str) -> None:
    (home / "file").touch()
    (home / "loop").symlink_to(home / "loop")

    with pytest.raises(errors.MountRefused, match=said):
        chosen(home, settings.Flags(**flags))


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "٣"])
def test_a_port_that_is_none_is_refused(home: Path, port: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="--port"):
        chosen(home, settings.Flags(port=port))


def test_a_port_is_written_as_the_engine_has_it(home: Path) -> None:
    assert chosen(home, settings.Flags(port="044097")).port.value == "44097"


def test_a_person_behind_sudo_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)

    assert settings.person({"SUDO_UID": "59999", "SUDO_GID": "59999"}).uid == 59999


def test_the_person_is_who_said_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)

    assert settings.person({"SUDO_UID": "65534", "SUDO_GID": "65534"}).uid == 65534
    for number in ("x", "\u00b2", "9" * 10, "9" * 5000):
        assert settings.person({"SUDO_UID": number, "SUDO_GID": "0"}).uid == 0


def test_a_person_without_a_home_is_refused_and_told_how_to_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))

    with pytest.raises(errors.ConfigInvalid, match="HOME is not set") as refused:
        settings.person({})

    assert "set HOME" in refused.value.hint


def test_a_folder_that_was_swapped_for_a_link_or_is_gone_is_not_mounted_again(home: Path) -> None:
    values = chosen(home, settings.Flags(workspace="code/x"))
    settings.verify(values)

    (home / "code/x").rmdir()
    with pytest.raises(errors.MountRefused, match="no such folder"):
        settings.verify(values)
    (home / "code/x").symlink_to(home / "elsewhere")
    with pytest.raises(errors.MountRefused, match="now leads to"):
        settings.verify(values)


def test_a_state_that_is_a_link_by_now_is_not_mounted(home: Path) -> None:
    values = chosen(home)

    (home / ".sf").symlink_to(home / "elsewhere")

    with pytest.raises(errors.MountRefused, match="now leads to"):
        settings.verify(values)


def a_place(home: Path, **folders: str) -> settings.Settings:
    told = {name: settings.Chosen(value=str(value), origin="--x") for name, value in folders.items()}
    return chosen(home).model_copy(update=told)


def test_the_mounts_are_the_contract_s_and_the_checkout_is_read_only(home: Path) -> None:
    found = {str(m.target): (m.source, m.read_only) for m in mounts.mounts(chosen(home))}

    code, sf = home / "code", home / "code" / "sf"
    assert found == {
        "/opt/sf": (sf, True),
        "/workspace": (sf, False),
        "/workspaces": (code, False),
        str(code): (code, False),
        "/home/sf/.sf": (home / ".sf", False),
    }


@pytest.mark.parametrize(
    "real",
    [
        "/",
        "/home",
        "/home/sf",
        "/usr",
        "/opt",
        "/opt/sf",
        "/opt/sf/x",
        "/run",
        "/workspace",
        "/proc/1",
        "/workspaces/x",
        "/usr/local",
        "/usr/bin",
        "/usr/lib/node_modules",
        "/usr/share",
        "/etc/ssl",
        "/run/selfdeploy/x",
    ],
)
def test_a_parent_whose_own_place_hides_something_is_refused(home: Path, real: str) -> None:
    with pytest.raises(errors.MountRefused, match="would hide"):
        mounts.mounts(a_place(home, workspaces=real))


def test_a_folder_that_is_at_its_place_anyway_hides_nothing(home: Path) -> None:
    assert len(mounts.mounts(a_place(home, workspaces="/workspaces"))) == 4
    for real in ("/home/somebody/code", "/usr/local/src", "/run/media/somebody/disk", "/var/lib/code"):
        assert len(mounts.mounts(a_place(home, workspaces=real))) == 5


@pytest.mark.parametrize("name", ["source", "workspace", "workspaces", "bind", "port"])
def test_a_flag_that_is_given_and_empty_is_refused(home: Path, name: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=f"--{name}: given, and empty"):
        chosen(home, settings.Flags(**{name: ""}))


@pytest.mark.parametrize("name", ["SF_VEGA_BIND", "SF_WORKSPACE_DIR", "SF_WORKSPACES_DIR", "SF_SOURCE_DIR"])
@pytest.mark.parametrize("value", ["", " "])
def test_a_variable_that_is_given_and_empty_is_refused(home: Path, name: str, value: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=f"{name}: given, and empty") as refused:
        chosen(home, None, {name: value})

    assert "tailscale" in refused.value.hint


def test_what_a_command_asked_for_and_the_next_leaves_out_moves_the_server_unasked(home: Path) -> None:
    asked = chosen(home, settings.Flags(workspace="code/x", port="4001"), {"SF_VEGA_BIND": "::1"})
    plain, file = chosen(home), chosen(home, None, {}, bind="10.0.0.1")

    moves = settings.moves(asked, plain)

    assert moves[0] == "bind changes, unasked, from ::1 (SF_VEGA_BIND) to 127.0.0.1 (default)"
    assert moves[1] == "port changes, unasked, from 4001 (--port) to 4000 (default)"
    assert moves[2].startswith(f"workspace changes, unasked, from {home}/code/x (--workspace) to ")
    assert "to 10.0.0.1 (deploy.toml)" in settings.moves(asked, file)[0]
    assert settings.moves(plain, asked) == settings.moves(asked, asked) == settings.moves(plain, file) == []
