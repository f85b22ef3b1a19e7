import ast
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfdeploy.process import docker_config, surroundings
from selfdeploy.registry import credentials

SOURCE = Path(__file__).parents[2] / "src" / "selfdeploy"

STARTERS = {"run", "start", "feed", "follow", "become", "run_logged"}
"""The functions of process, and the builders' record.run, that take a command line."""

MAKERS = {
    "NOX": "nox",
    "_docker": "docker",
    "engine.argv": "docker",
    "kubectl.argv": "kubectl",
    "target.argv": "docker",
}
"""What makes the command lines of one program, or begins them."""

ELSEWHERE = {
    "build/builders/buildkit.py": "buildctl",
    "build/builders/pod.py": "kubectl",
    "engine/__init__.py": "docker",
    "environments/kubernetes/inside.py": "kubectl",
    "cluster/kubectl.py": "kubectl",
    "gates/isolation.py": "unshare",
}
"""The modules that are about one program, and start no other."""

HANDED_ON = {"process/__init__.py", "build/builders/record.py"}
"""The modules that start what they are given; who gives it is looked at."""

GIVEN = {
    "build/builders/command.py": "command",
    "contents/namespaces.py": "node, as in SF's server",
    "contents/native.py": "the gates'",
    "contents/npm.py": "the gates'",
    "contents/smoke.py": "the gates'",
    "contract/launch.py": "SF's server",
    "contract/start.py": "node, as in SF's server",
    "gates/runner.py": "the gates'",
    "gates/signatures.py": "the gates'",
    "rollout/notify.py": "command",
    "trust/keys.py": "command",
}
"""The modules that start programs in an environment of their own: what deploy.toml or SF names, or the gates see."""


def started() -> Iterator[tuple[str, str, ast.Call, ast.FunctionDef]]:
    """Yield every call that starts a program: the module, the call's place, the call, and the function it is in."""
    for file in sorted(SOURCE.rglob("*.py")):
        module = file.relative_to(SOURCE).as_posix()
        tree = ast.parse(file.read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                name = call.func
                if not isinstance(name, ast.Attribute) or name.attr not in STARTERS:
                    continue
                if ast.unparse(name.value) in {"process", "record", "running"} and call.args:
                    yield module, f"{module}:{call.lineno}", call, function


def programs(expression: ast.expr, function: ast.FunctionDef) -> set[str]:
    """Return the programs that EXPRESSION, a command line, begins with; what is not known is its own text."""
    match expression:
        case ast.List(elts=[ast.Starred(value=first), *_]):
            return programs(first, function)
        case ast.List(elts=[ast.Constant(value=str(first)), *_]):
            return {first}
        case ast.List(elts=[ast.Attribute(attr="executable"), _, ast.Constant(value=str(module)), *_]):
            return {module}
        case ast.List(elts=[ast.Name() as first, *_]):
            texts = [ast.unparse(value) for value in assigned(first.id, function)]
            found = {text.removeprefix("f'").partition("{")[0].strip("'-") for text in texts} or {first.id}
        case ast.Name(id=name) if values := assigned(name, function):
            found = set.union(*(programs(value, function) for value in values))
        case ast.Call(func=called):
            name = ast.unparse(called)
            found = {MAKERS.get(name.removeprefix("self."), name)}
        case _:
            text = ast.unparse(expression)
            found = {MAKERS.get(text, text)}
    return found


def assigned(name: str, function: ast.FunctionDef) -> list[ast.expr]:
    """Return what FUNCTION assigns to NAME."""
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]


def test_every_program_that_is_started_has_a_policy() -> None:
    found = set()
    for module, place, call, function in started():
        if module in HANDED_ON or module in GIVEN:
            continue
        for program in {ELSEWHERE[module]} if module in ELSEWHERE else programs(call.args[0], function):
            assert program in surroundings.POLICIES, f"{place}: no policy of surroundings.py is for {program!r}"
            found.add(program)

    assert found >= {"docker", "git", "kubectl", "buildctl", "nox", "ip", "uv", "mmdebstrap", "docker-credential"}


def test_a_policy_is_of_a_program_that_is_started() -> None:
    text = "".join(file.read_text() for file in SOURCE.rglob("*.py"))

    assert [
        name for name in surroundings.POLICIES if f'"{name}' not in text and f'"{name.split()[-1]}"' not in text
    ] == []


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["docker", "push", "compose"], "docker"),
        (["docker", "--context", "compose", "exec", "x", "compose"], "docker"),
        (["docker", "--host", "unix:///x", "compose", "up"], "docker compose"),
        (["docker", "--context", "default", "compose", "up"], "docker compose"),
        (["/usr/bin/docker", "compose"], "docker compose"),
        (["docker-credential-desktop", "get"], "docker-credential"),
        ([sys.executable, "-m", "uv", "pip"], "uv"),
        (["git", "-C", "/"], "git"),
    ],
)
def test_the_policy_is_the_program_s(argv: list[str], name: str) -> None:
    assert surroundings.program(argv) == name


SHELL = {
    "HOME": "/nonexistent",
    "PATH": "/usr/bin",
    "USER": "me",
    "SSH_AUTH_SOCK": "/agent",
    "https_proxy": "http://proxy",
    "SSL_CERT_FILE": "/ca",
    # Where to, and who.
    "DOCKER_HOST": "tcp://engine:2376",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_CERT_PATH": "/certs",
    "KUBECONFIG": "/kube",
    "BUILDKIT_HOST": "tcp://builder",
    "AWS_PROFILE": "prod",
    "VAULT_TOKEN": "t",
    "GIT_SSH_COMMAND": "ssh -i key",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "APT_CONFIG": "/apt",
    "UV_DEFAULT_INDEX": "https://index",
    # How the person likes it.
    "BUILDKIT_PROGRESS": "rawjson",
    "BUILDX_BUILDER": "far",
    "COMPOSE_ENV_FILES": "/nowhere",
    "COMPOSE_FILE": "compose.dev.yml",
    "COMPOSE_PROFILES": "dev",
    "DOCKER_BUILDKIT": "0",
    "DOCKER_CONTENT_TRUST": "1",
    "DOCKER_DEFAULT_PLATFORM": "linux/arm64",
    "GIT_DIR": "/other/.git",
    "GIT_EXTERNAL_DIFF": "meld",
    "GIT_TRACE": "1",
    "KUBECTL_EXTERNAL_DIFF": "meld",
    "KUBERC": "/rc",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "de_DE.UTF-8",
    "LD_PRELOAD": "/x.so",
    "NODE_OPTIONS": "--inspect",
    "NOXSESSION": "lint",
    "SF_KUBECONFIG": "apiVersion: v1",
    "SOURCE_DATE_EPOCH": "7",
    "TAG": "latest",
}
"""The variables of a shell."""

TARGETS = {"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}
LIKES = {"LANG", "LC_ALL", "LD_PRELOAD", "NODE_OPTIONS", "SF_KUBECONFIG"}
BUILDS = {name for name in SHELL if name.startswith(("BUILDKIT_", "BUILDX_", "COMPOSE_", "DOCKER_", "GIT_"))}
"""What the programs read that build and run images."""


def passed(program: str) -> set[str]:
    given = surroundings.read(program, SHELL)
    return {name for name, value in SHELL.items() if given.get(name) == value}


def test_compose_gets_where_the_engine_is_and_nothing_to_fill_in() -> None:
    common = {"HOME", "PATH", "USER", "SSH_AUTH_SOCK", "https_proxy", "SSL_CERT_FILE"}

    assert passed("docker compose") == common | TARGETS
    assert surroundings.read("docker compose", SHELL)["COMPOSE_DISABLE_ENV_FILE"] == "1"


def test_compose_runs_in_an_empty_folder_and_finds_relative_paths_nevertheless() -> None:
    given = surroundings.read("docker compose", {**SHELL, "DOCKER_CONFIG": "conf", "PATH": f"bin{os.pathsep}/usr/bin"})
    place = surroundings.folder("docker compose")

    assert place is not None
    assert list(place.iterdir()) == []
    assert given["DOCKER_CONFIG"] == str(Path("conf").absolute())
    assert given["PATH"] == f"{Path('bin').absolute()}{os.pathsep}/usr/bin"


@pytest.mark.parametrize(
    ("program", "dropped"),
    [
        ("docker", {*LIKES, *BUILDS, "SOURCE_DATE_EPOCH"} - TARGETS),
        ("buildctl", {*LIKES, *BUILDS, "SOURCE_DATE_EPOCH"} - TARGETS - {"BUILDKIT_HOST"}),
        ("kubectl", {*LIKES, "KUBECTL_EXTERNAL_DIFF", "KUBERC"}),
        ("docker-credential", LIKES),
    ],
)
def test_what_runs_credential_helpers_gets_all_but_what_changes_what_it_does(program: str, dropped: set[str]) -> None:
    assert set(SHELL) - passed(program) == dropped


def test_kubectl_gets_nothing_of_its_own_but_the_kubeconfig() -> None:
    assert {name for name in passed("kubectl") if name.startswith("KUBE")} == {"KUBECONFIG"}
    assert surroundings.read("kubectl", SHELL)["KUBERC"] == "off"


def test_git_gets_its_login_and_its_configuration_and_never_another_repository() -> None:
    own = {name for name in passed("git") if name.startswith("GIT_")}

    assert own == {"GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"}
    assert "AWS_PROFILE" not in passed("git")
    assert surroundings.read("git", SHELL)["LC_ALL"] == "C"


def test_a_program_without_a_policy_gets_who_runs_it_and_no_more() -> None:
    assert passed("anything") == {"HOME", "PATH", "USER"}
    assert passed("apt-get") == {"HOME", "PATH", "USER", "https_proxy", "SSL_CERT_FILE", "APT_CONFIG"}
    assert "UV_DEFAULT_INDEX" in passed("uv")


def test_an_own_builder_gets_the_user_s_environment_but_no_hook_s_repository() -> None:
    assert set(SHELL) - passed("command") == {"GIT_DIR", "SOURCE_DATE_EPOCH"}


def test_nox_gets_the_environment_but_session_choices_and_the_cluster_s_key() -> None:
    assert set(SHELL) - passed("nox") == {"NOXSESSION", "SF_KUBECONFIG"}


def test_what_installs_the_gates_tools_gets_no_token_of_a_run_or_a_registry() -> None:
    tokens = {"ACTIONS_RUNTIME_TOKEN", "FORGEJO_TOKEN", "GITHUB_TOKEN", "SF_REGISTRY_TOKEN"}

    given = surroundings.read("nox", {"HOME": "/h", "NPM_TOKEN": "n", **dict.fromkeys(tokens, "t")})

    assert {"NPM_TOKEN", *tokens} & set(given) == {"NPM_TOKEN"}


def test_what_inherits_has_names_of_variables_in_its_arguments_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SHELL, "DOCKER_HOST": "tcp://secret@engine"}.items():
        monkeypatch.setenv(name, value)

    line = surroundings.prefix("docker compose")

    assert line[0] == "env"
    assert f"--chdir={surroundings.folder('docker compose')}" in line
    assert "--unset=VAULT_TOKEN" in line
    assert "COMPOSE_DISABLE_ENV_FILE=1" in line
    assert not [part for part in line if "secret" in part or "latest" in part]


def test_what_is_run_in_a_container_has_none_of_node_s_variables() -> None:
    told = surroundings.inside()

    assert {"--env=NODE_OPTIONS=", "--env=HTTP_PROXY=", "--env=http_proxy=", "--env=NODE_EXTRA_CA_CERTS="} <= set(told)
    assert not {"--env=PATH=", "--env=HOME=", "--env=SF_AUTH_TOKEN="} & set(told)


# Docker's config.json.

CONFIG = {
    "auths": {"r.lan": {"auth": "c2VjcmV0"}},
    "credsStore": "pass",
    "currentContext": "far",
    "proxies": {"default": {"httpProxy": "http://me:pw@proxy"}},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "docker"
    (folder / "contexts").mkdir(parents=True)
    (folder / "cli-plugins").mkdir()
    (folder / "ca.pem").write_text("ca")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.mark.parametrize("program", ["docker", "docker compose", "buildctl"])
def test_docker_gets_the_config_without_its_proxies_and_with_all_else(program: str, config: Path) -> None:
    given = surroundings.read(program, {**SHELL, "DOCKER_CONFIG": str(config)})
    shadow = Path(given["DOCKER_CONFIG"])

    assert shadow != config
    assert json.loads((shadow / "config.json").read_text()) == {k: v for k, v in CONFIG.items() if k != "proxies"}
    assert {entry.name for entry in shadow.iterdir()} == {entry.name for entry in config.iterdir()}
    assert (shadow / "contexts").resolve() == config / "contexts"
    assert given["BUILDX_CONFIG"] == str(config / "buildx")
    assert shadow.stat().st_mode & 0o077 == 0
    assert shadow.parent.stat().st_mode & 0o077 == 0


def test_no_file_has_the_logins_of_the_shadow(config: Path) -> None:
    shadow = Path(surroundings.read("docker", {"DOCKER_CONFIG": str(config)})["DOCKER_CONFIG"])

    assert str((shadow / "config.json").readlink()).startswith(f"/proc/{os.getpid()}/fd/")
    assert not [file for file in shadow.rglob("*") if file.is_file() and not file.is_symlink()]


def test_a_config_that_changes_meanwhile_is_read_anew(config: Path) -> None:
    first = surroundings.read("docker", {"DOCKER_CONFIG": str(config)})["DOCKER_CONFIG"]
    (config / "config.json").write_text(json.dumps({**CONFIG, "credsStore": "other"}))
    second = surroundings.read("docker", {"DOCKER_CONFIG": str(config)})["DOCKER_CONFIG"]

    assert json.loads(Path(second, "config.json").read_text())["credsStore"] == "other"
    assert first != second


def test_home_s_config_is_found_where_no_variable_names_one(config: Path, tmp_path: Path) -> None:
    config.rename(tmp_path / ".docker")

    given = surroundings.read("docker", {"HOME": str(tmp_path)})

    assert "proxies" not in json.loads(Path(given["DOCKER_CONFIG"], "config.json").read_text())


@pytest.mark.parametrize("text", ['{"auths": {}}', "{", "[]", "", '{"a": ' * 100_000])
def test_a_config_without_proxies_is_docker_s_own_to_read(text: str, config: Path) -> None:
    (config / "config.json").write_text(text)

    assert surroundings.read("docker", {"DOCKER_CONFIG": str(config)})["DOCKER_CONFIG"] == str(config)


@pytest.mark.parametrize("key", ["proxies", "Proxies", "PROXIES"])
def test_go_reads_a_key_in_any_case(key: str, config: Path) -> None:
    (config / "config.json").write_text(json.dumps({key: {"default": {}}, "auths": {}}))

    assert docker_config.without_proxies(config) == '{"auths": {}}'


def test_who_has_no_home_has_an_empty_config_and_not_the_folder_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))

    monkeypatch.delenv("DOCKER_CONFIG", raising=False)

    assert surroundings.home({}) is None
    assert credentials.find("r.lan", credentials.path()) is None
    assert list(Path(surroundings.read("docker", {})["DOCKER_CONFIG"]).iterdir()) == []
    assert Path(surroundings.read("nox", {})["HOME"]).is_dir()
