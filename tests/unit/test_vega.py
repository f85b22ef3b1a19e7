import contextlib
import ipaddress
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from selfdeploy import deploy_toml, errors, manifest, render, source, witness
from selfdeploy.vega import bind, dist, live, mounts, settings, translate

REVISION, TREE, OTHER = "a" * 40, "b" * 40, "c" * 40
IMAGE = f"sha256:{'1' * 64}"
GATES = (manifest.Gate(name="build-web-host", command="npm run build:web-host"),)
INTERFACES = {"127.0.0.1": "lo", "192.168.1.7": "eth0", "100.101.102.103": "tailscale0", "203.0.113.5": "eth1"}
INTERFACES |= {"100.64.7.7": "wwan0", "fd7a:115c:a1e0::8": "eth0"}
INTERFACES |= {"::1": "lo", "fd7a:115c:a1e0::7": "tailscale0", "2001:db8::7": "eth1", "fe80::7": "eth0"}


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
    assert settings.person({"SUDO_UID": "x", "SUDO_GID": "0"}).uid == 0


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


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "only this host"),
        ("localhost", "only this host"),
        ("[::1]", "only this host"),
        ("127.3.2.1", "only this host"),
        ("100.101.102.103", "your tailnet reaches it (tailscale0)"),
        ("::ffff:100.101.102.103", "your tailnet"),
        ("fd7a:115c:a1e0::7", "your tailnet"),
        ("192.168.1.7", "the private network at eth0"),
        ("100.64.7.7", "the shared address space at wwan0"),
        ("fd7a:115c:a1e0::8", "the private network at eth0"),
    ],
)
def test_an_address_few_reach_is_taken_and_who_they_are_is_said(address: str, said: str) -> None:
    assert said in bind.judge(bind.parse(address), "none", INTERFACES)


@pytest.mark.parametrize("address", ["::ffff:0.0.0.0", "::", "0:0::0", "203.0.113.5", "2001:db8::7"])
def test_an_address_everybody_reaches_needs_a_guard(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="everybody") as refused:
        bind.judge(bind.parse(address), "none", INTERFACES)

    assert "vega.access_control" in refused.value.hint
    for guard in ("proxy", "firewall"):
        assert guard in bind.judge(bind.parse(address), guard, INTERFACES)


@pytest.mark.parametrize("address", ["192.168.1.8", "100.64.0.9", "8.8.8.8", "fd00::1", "224.0.0.1"])
def test_an_address_this_host_does_not_have_is_refused_and_those_it_has_are_listed(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="no address") as refused:
        bind.judge(bind.parse(address), "firewall", INTERFACES)

    assert "192.168.1.7 (eth0)" in refused.value.hint


@pytest.mark.parametrize("text", ["", "vega.local", "127.0.0.1:4000", "10.0.0.0/8", "0177.0.0.1", "2130706433"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(errors.BindRefused, match="no address"):
        bind.parse(text)


@pytest.mark.parametrize("address", ["fe80::7", "fe80::7%eth0"])
def test_an_address_of_one_link_is_refused(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="one link"):
        bind.judge(bind.parse(address), "proxy", INTERFACES)


def a_live(checkout: Path, tree: str = TREE, commit: str = REVISION, changed: tuple[str, ...] = ()) -> live.Live:
    made = source.Revision(
        checkout=checkout, commit=commit, tree=tree, path=".", repository="local", epoch=0, live=True
    )
    return live.Live(revision=made, changed=changed)


def built(checkout: Path, made: live.Live) -> live.Stamp:
    stamp = live.stamp(made, "2026-01-01T00:00:00Z", GATES)
    (checkout / live.SERVER).parent.mkdir(parents=True, exist_ok=True)
    (checkout / live.SERVER).touch()
    (checkout / live.STAMP).write_text(stamp.model_dump_json())
    return stamp


def test_a_build_is_current_only_for_the_files_and_the_revision_it_was_made_of(tmp_path: Path) -> None:
    assert "is missing" in live.why_stale(a_live(tmp_path))
    stamp = built(tmp_path, a_live(tmp_path))

    assert live.require_current(a_live(tmp_path)) == stamp
    assert "is older than a.ts" in live.why_stale(a_live(tmp_path, OTHER, changed=("a.ts",)))
    assert "and HEAD is cccc" in live.why_stale(a_live(tmp_path, commit=OTHER))
    (tmp_path / live.STAMP).unlink()
    with pytest.raises(errors.BuildStale, match="does not say") as refused:
        live.require_current(a_live(tmp_path))
    assert "--build" in refused.value.hint


def a_manifest(changed: tuple[str, ...] = ("a.ts",)) -> live.Manifest:
    made = a_live(Path("/sf"), changed=changed)
    return live.describe(made, live.stamp(made, "2026-01-01T00:00:00Z", GATES), "sf-vega", IMAGE)


def test_the_manifest_of_a_live_checkout_says_what_was_changed_and_survives_a_round_trip() -> None:
    made = a_manifest()
    told = json.loads(made.bytes)

    assert told["kind"] == "source"
    assert told["source"]["dirty"] is True
    assert told["source"]["changed"] == ["a.ts"]
    assert told["source"]["tree"] == TREE
    assert told["source"]["builtAt"] == "2026-01-01T00:00:00Z"
    assert live.parse(made.bytes, "x") == made
    assert live.parse(made.bytes, "x").release == made.release
    for bad in (b"", b"{}", b"[]", made.bytes.replace(b'"source"', b'"image"', 1)):
        with pytest.raises(errors.ManifestInvalid):
            live.parse(bad, "x")
    with pytest.raises(errors.ManifestInvalid):
        manifest.parse(made.bytes)
    with pytest.raises(pydantic.ValidationError):
        made.model_validate({**told, "gates": []}, strict=False)


@pytest.mark.parametrize(
    ("changed", "dirty", "agrees"), [(("a",), True, True), (("a",), None, False), ((), False, True)]
)
def test_a_changed_checkout_s_server_has_to_say_so(changed: tuple[str, ...], dirty: object, agrees: bool) -> None:  # noqa: FBT001
    made = a_manifest(changed)
    version = {**made.version, "dirty": dirty, "instance": "i"}
    ok = witness.Answer(status=200, body="{}")
    answers = {"healthz": ok, "ready": ok, "version": witness.Answer(status=200, body=json.dumps(version))}
    replica = witness.Replica(name="r", instance="i", digests=frozenset({IMAGE}))

    wrong = witness.compare(made, witness.Round(before=(replica,), after=(replica,), answers={"r": answers}))

    assert (wrong == []) is agrees


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


def a_swap(checkout: Path, *, node_modules: bool = True) -> dist.Swap:
    for name in ("dist", *(["node_modules"] if node_modules else [])):
        for place, text in ((checkout, "old"), (dist.room(checkout) / "next", "new")):
            (place / name).mkdir(parents=True)
            (place / name / "file").write_text(text)
    return dist.Swap(checkout=checkout, names=("dist", "node_modules"))


def content(checkout: Path) -> list[str]:
    return [(checkout / name / "file").read_text() for name in ("dist", "node_modules")]


def test_a_swap_puts_the_new_in_and_can_be_undone(tmp_path: Path) -> None:
    swap = a_swap(tmp_path)

    swap.apply()
    after = content(tmp_path)
    dist.recover(tmp_path)
    kept = content(tmp_path)
    swap.undo()

    assert after == kept == ["new", "new"]
    assert content(tmp_path) == ["old", "old"]


@pytest.mark.parametrize("renames", range(4))
def test_a_swap_that_was_killed_half_way_is_undone_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    swap, real, left = a_swap(tmp_path), Path.rename, [renames]

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        swap.apply()
    monkeypatch.undo()

    dist.recover(tmp_path)

    assert content(tmp_path) == ["old", "old"]


@pytest.mark.parametrize("renames", range(7))
def test_an_undo_that_was_killed_half_way_is_finished_by_the_next_command_and_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    swap, real, left = a_swap(tmp_path), Path.rename, [renames]
    swap.apply()

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with contextlib.nullcontext() if renames == 6 else pytest.raises(KeyboardInterrupt):
        swap.undo()
    monkeypatch.undo()

    dist.recover(tmp_path)
    dist.recover(tmp_path)

    assert content(tmp_path) == (["new", "new"] if renames == 0 else ["old", "old"])


@pytest.mark.parametrize("told", ['["../../x", "dist"]', "null", "{", "[" * 100_000, '{"dist": 1}', None])
def test_what_the_server_writes_of_a_swap_touches_nothing_else(tmp_path: Path, told: str | None) -> None:
    (tmp_path / "x").mkdir()
    checkout = tmp_path / "sf" / "checkout"
    a_swap(checkout).apply()
    half = dist.room(checkout) / dist.HALF
    half.mkdir() if told is None else half.write_text(told)

    with contextlib.suppress(errors.CommandFailed):
        dist.recover(checkout)

    assert (checkout / "dist" / "file").read_text() == "old"
    assert (tmp_path / "x").is_dir()


def test_builds_that_wait_behind_a_link_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "vega" / "previous").mkdir(parents=True)
    (tmp_path / "sf").mkdir()
    (tmp_path / "sf" / ".selfdeploy").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.MountRefused, match="leads to"):
        dist.recover(tmp_path / "sf")

    assert (tmp_path / "elsewhere" / "vega" / "previous").is_dir()


def test_what_was_not_there_before_is_gone_after_an_undo(tmp_path: Path) -> None:
    swap = a_swap(tmp_path)
    (tmp_path / "dist" / "file").unlink()
    (tmp_path / "dist").rmdir()

    swap.apply()
    swap.undo()

    assert not (tmp_path / "dist").exists()
    assert (tmp_path / "node_modules" / "file").read_text() == "old"


def test_the_addresses_judged_are_those_of_the_contract() -> None:
    assert ipaddress.ip_address("100.127.255.254") in bind.TAILSCALE[0]
    assert ipaddress.ip_address("100.128.0.1") not in bind.TAILSCALE[0]
