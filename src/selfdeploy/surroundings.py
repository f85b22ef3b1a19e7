"""The surroundings of every program that is started: the variables it gets, and the folder it runs in.

A program gets what names its target and its login, and nothing else of the caller's shell. Some of them run helpers
that anybody may have written (credential helpers, kubectl's exec plugins): they get the whole environment without the
variables that they read themselves.
"""

import fnmatch
import functools
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import docker_config, tree

PERSON = ("HOME", "LOGNAME", "PATH", "TMPDIR", "USER")
NETWORK = (
    *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "http_proxy", "no_proxy"),
    *("SSL_CERT_DIR", "SSL_CERT_FILE"),
)
SSH = ("SSH_ASKPASS", "SSH_AGENT_PID", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
ENGINE = (
    *("DOCKER_API_VERSION", "DOCKER_AUTH_CONFIG", "DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_CONTEXT"),
    *("DOCKER_CUSTOM_HEADERS", "DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY"),
)
"""The variables that name a Docker engine, and the login to it and to registries (docker's CLI reference)."""

LOADER = ("DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "GODEBUG", "GOTRACEBACK", "LD_*", "NODE_OPTIONS", "SSLKEYLOGFILE")
"""What changes any program that is loaded: ld.so(8), Go's runtime, node."""
SPEECH = ("LANG", "LANGUAGE", "LC_*")
"""The language of messages; some of them are read."""
SHELL = ("BASHOPTS", "BASH_ENV", "BASH_FUNC_*", "CDPATH", "ENV", "IFS", "SHELLOPTS")
TRACES = ("OTEL_*", "TRACEPARENT", "TRACESTATE")
ANYBODY = (*LOADER, *SPEECH, *SHELL, *TRACES, "SF_KUBECONFIG")
"""What no program with the whole environment gets."""
BUILD = (
    *("BUILDCTL_*", "BUILDKIT_*", "BUILDX_*", "COMPOSE_*", "DOCKER_*", "EXPERIMENTAL_BUILDKIT_*", "GIT_*"),
    "SOURCE_DATE_EPOCH",
)
"""What docker, its plugins and buildctl read; ENGINE's pass nevertheless."""

REPOSITORY = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"),
    *("GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"),
)
"""How git tells the children of a hook which repository they are in (`git rev-parse --local-env-vars`)."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a program gets: the variables that match KEEP, or all when WHOLE that do not match DROP; and FIXED.

    One that is DETACHED runs in an empty folder, and finds no file of the folder that the person is in.
    """

    keep: tuple[str, ...] = PERSON
    whole: bool = False
    drop: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=lambda: {"LC_ALL": "C.UTF-8"})
    detached: bool = False
    docker: bool = False
    """Whether it reads Docker's config.json."""

    def passes(self, name: str) -> bool:
        """Say whether the variable NAME reaches the program."""
        return _matches(name, self.keep) or (self.whole and not _matches(name, self.drop))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


C = {"LC_ALL": "C.UTF-8"}
BARE = Policy()
"""What a program without a policy of its own gets."""
BYTES = Policy(fixed={"LC_ALL": "C"})
"""What a program gets that puts lines in order."""
APT = Policy(keep=(*PERSON, *NETWORK, "APT_CONFIG"))
GIT = Policy(
    keep=(
        *(*PERSON, *NETWORK, *SSH, "SUDO_UID"),
        # Configuration that comes with the call: CI services name safe.directory by it.
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_KEY_*", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS"),
        *("GIT_CONFIG_SYSTEM", "GIT_CONFIG_VALUE_*", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"),
        # A partial clone gets what it lacks from where it was cloned.
        *("GIT_ASKPASS", "GIT_HTTP_PROXY*", "GIT_PROXY_COMMAND", "GIT_SSH", "GIT_SSH_*", "GIT_SSL_*"),
    ),
    fixed={
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    },
)

POLICIES: Mapping[str, Policy] = {
    "apt-get": APT,
    "buildctl": Policy(keep=(*ENGINE, "BUILDKIT_HOST"), whole=True, drop=(*ANYBODY, *BUILD), fixed=C, docker=True),
    "chown": BARE,
    "comm": BYTES,
    # It is the person's own command: all but which repository a hook is in, and a time that is no commit's.
    "command": Policy(whole=True, drop=(*REPOSITORY, "SOURCE_DATE_EPOCH"), fixed={}),
    "docker": Policy(
        keep=ENGINE,
        whole=True,
        drop=(*ANYBODY, *BUILD),
        fixed={**C, "DOCKER_CLI_HINTS": "false"},
        docker=True,
    ),
    # It fills in what a file names: only what reaches the engine.
    "docker compose": Policy(
        keep=(*PERSON, *NETWORK, *SSH, *ENGINE),
        fixed={**C, "COMPOSE_DISABLE_ENV_FILE": "1", "DOCKER_CLI_HINTS": "false"},
        detached=True,
        docker=True,
    ),
    "docker-credential": Policy(whole=True, drop=ANYBODY),
    "find": BARE,
    "git": GIT,
    "ip": BARE,
    "kubectl": Policy(
        keep=("KUBECONFIG",),
        whole=True,
        drop=(*ANYBODY, "KUBECACHEDIR", "KUBECTL_*", "KUBERC", "KUBERNETES_*", "KUBE_*"),
        fixed={**C, "KUBECTL_KUBERC": "false", "KUBERC": "off"},
    ),
    "mmdebstrap": APT,
    # This program again. The gates choose what they get of it; it installs packages, whose scripts run.
    "nox": Policy(
        whole=True,
        drop=(
            *("ACTIONS_*_TOKEN", "FORGEJO_TOKEN", "GITEA_TOKEN", "GITHUB_TOKEN", "SF_REGISTRY_TOKEN"),
            *("NOX*", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER", "SF_KUBECONFIG"),
            *("UV_BREAK_SYSTEM_PACKAGES", "UV_PROJECT*", "UV_PYTHON", "UV_SYSTEM_PYTHON"),
        ),
        fixed={},
    ),
    "sort": BYTES,
    "tailscale": BARE,
    "unshare": BARE,
    "uv": Policy(
        keep=(
            *(*PERSON, *NETWORK, "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NETRC", "UV_CACHE_DIR", "UV_CONFIG_FILE"),
            *("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_HTTP_TIMEOUT", "UV_INDEX*"),
            *("UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_NO_INDEX", "UV_OFFLINE"),
            *("UV_SYSTEM_CERTS",),
        )
    ),
}
"""The policy of every program that this package starts; the gates' commands have what deploy.toml names."""

INSIDE = (
    *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "http_proxy", "no_proxy"),
    *("LD_AUDIT", "LD_DEBUG", "LD_PRELOAD", "NODE_CHANNEL_FD", "NODE_COMPILE_CACHE", "NODE_DEBUG"),
    *("NODE_DEBUG_NATIVE", "NODE_EXTRA_CA_CERTS", "NODE_ICU_DATA", "NODE_OPTIONS", "NODE_PATH"),
    *("NODE_REDIRECT_WARNINGS", "NODE_TEST_CONTEXT", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_USE_ENV_PROXY"),
    *("NODE_USE_SYSTEM_CA", "NODE_V8_COVERAGE", "OPENSSL_CONF", "OPENSSL_MODULES", "SSLKEYLOGFILE", "SSL_CERT_DIR"),
    *("SSL_CERT_FILE",),
)
"""The variables of a container that would change what is run inside it beside the server: node's, ld.so's, OpenSSL's.

Empty, each is as if it were not set. The rest stays: an image may need it to start node at all.
"""


def inside() -> list[str]:
    """Return the options of `docker run` and `docker exec` that make a command independent of its container."""
    return [f"--env={name}=" for name in INSIDE]


def program(argv: Sequence[str]) -> str:
    """Return the name of ARGV's policy."""
    name = Path(argv[0]).name
    if argv[0] == sys.executable and argv[1:2] == ["-m"]:
        return argv[2]
    if name.startswith("docker-credential-"):
        return "docker-credential"
    words = iter(argv[1:])
    if name == "docker":
        for word in words:
            if word in ("--context", "--host"):
                next(words, "")
            elif not word.startswith("-"):
                return "docker compose" if word == "compose" else name
    return name


def read(name: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of the program whose policy is NAME, of ENVIRONMENT or else this process's own."""
    caller = os.environ if environment is None else environment
    policy = POLICIES.get(name, BARE)
    given = {key: value for key, value in caller.items() if policy.passes(key)} | dict(policy.fixed)
    if home(caller) is None:  # some programs do nothing without one
        given["HOME"] = str(_place() / "home")
    if policy.docker:
        given |= _docker(caller)
    if policy.detached:
        given |= {key: _absolute(given[key]) for key in ("DOCKER_CERT_PATH", "DOCKER_CONFIG", "PATH") if key in given}
    return given


def folder(name: str) -> Path | None:
    """Return the folder that the program whose policy is NAME runs in; None where it is this process's own."""
    return _place() / "empty" if POLICIES.get(name, BARE).detached else None


def prefix(name: str) -> list[str]:
    """Return the argv prefix that gives the surroundings of NAME to a command which inherits this process's.

    It has names of variables, and no values but those that are no secret.
    """
    wanted = read(name)
    there = folder(name)
    changed = [f"{key}={value}" for key, value in wanted.items() if os.environ.get(key) != value]
    unset = [f"--unset={key}" for key in os.environ if key not in wanted]
    return ["env", *([f"--chdir={there}"] if there else []), *unset, *changed]


def home(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the person's home; None for a user id without a name and without HOME."""
    if environment is not None and environment.get("HOME"):
        return Path(environment["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        return None


def _absolute(value: str) -> str:
    return os.pathsep.join(str(Path(part).absolute()) for part in value.split(os.pathsep))


_mutex = threading.Lock()


def _docker(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give docker the person's config without its proxies."""
    own = docker_config.find(caller.get("DOCKER_CONFIG", ""), home(caller))
    with _mutex:
        if own is None:  # docker would look for `.docker` in the folder that it runs in
            return {"DOCKER_CONFIG": str(_place() / "empty")}
        if (text := docker_config.without_proxies(own)) is None:
            return {}
        return {"DOCKER_CONFIG": str(docker_config.shadow(own, text, _place())), "BUILDX_CONFIG": str(own / "buildx")}


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    made = tree.temporary()
    Path(made.name, "empty").mkdir(mode=0o500)
    Path(made.name, "home").mkdir()
    return made


def _place() -> Path:
    """Return a folder for its owner alone that lasts as long as this process, with `empty` and `home` in it."""
    return Path(_temporary().name)
