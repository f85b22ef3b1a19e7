"""The surroundings of the programs we start: their environment variables and working folder.

A program gets the variables for its target and its login, and nothing else of the caller's shell. Programs that run
third-party helpers (credential helpers, kubectl's exec plugins) get the whole environment, except the variables they
read themselves.
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

from selfdeploy import tree
from selfdeploy.process import docker_config

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
"""Variables for a Docker engine and the login to it and to registries (docker's CLI reference)."""

LOADER = ("DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "GODEBUG", "GOTRACEBACK", "LD_*", "NODE_OPTIONS", "SSLKEYLOGFILE")
"""Variables that affect any loaded program: ld.so(8), Go's runtime, node."""
SPEECH = ("LANG", "LANGUAGE", "LC_*")
"""The language of messages; some messages are parsed."""
SHELL = ("BASHOPTS", "BASH_ENV", "BASH_FUNC_*", "CDPATH", "ENV", "IFS", "SHELLOPTS")
TRACES = ("OTEL_*", "TRACEPARENT", "TRACESTATE")
ANYBODY = (*LOADER, *SPEECH, *SHELL, *TRACES, "SF_KUBECONFIG", "SF_SIGNING_*")
"""Variables withheld from programs with third-party helpers."""
BUILD = (
    *("BUILDCTL_*", "BUILDKIT_*", "BUILDX_*", "COMPOSE_*", "DOCKER_*", "EXPERIMENTAL_BUILDKIT_*", "GIT_*"),
    "SOURCE_DATE_EPOCH",
)
"""Variables read by docker, its plugins and buildctl; those in ENGINE pass nevertheless."""

REPOSITORY = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"),
    *("GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"),
)
"""Variables that point a git hook's children to its repository (`git rev-parse --local-env-vars`)."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The variables of a program: matches of KEEP; if WHOLE, also all except matches of DROP; then FIXED.

    A DETACHED program runs in an empty folder, out of reach of files in the current one.
    """

    keep: tuple[str, ...] = PERSON
    whole: bool = False
    drop: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=lambda: {"LC_ALL": "C.UTF-8"})
    detached: bool = False
    docker: bool = False
    """True if the program reads Docker's config.json."""

    def passes(self, name: str) -> bool:
        """Return whether the variable NAME reaches the program."""
        return _matches(name, self.keep) or (self.whole and not _matches(name, self.drop))


@functools.cache  # a command starts dozens of programs, each with the same variables
def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


C = {"LC_ALL": "C.UTF-8"}
BARE = Policy()
"""The policy of programs without one of their own."""
BYTES = Policy(fixed={"LC_ALL": "C"})
"""The policy of programs that order lines, by bytes."""
APT = Policy(keep=(*PERSON, *NETWORK, "APT_CONFIG"))
GIT = Policy(
    keep=(
        *(*PERSON, *NETWORK, *SSH, "SUDO_UID"),
        # Configuration from the caller: CI services set safe.directory this way.
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_KEY_*", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS"),
        *("GIT_CONFIG_SYSTEM", "GIT_CONFIG_VALUE_*", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"),
        # A partial clone fetches missing objects from its remote.
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
    # The person's own command: everything except a hook's repository, a signing key, and another time than a commit's.
    "command": Policy(whole=True, drop=(*REPOSITORY, "SF_SIGNING_*", "SOURCE_DATE_EPOCH"), fixed={}),
    "docker": Policy(
        keep=ENGINE,
        whole=True,
        drop=(*ANYBODY, *BUILD),
        fixed={**C, "DOCKER_CLI_HINTS": "false"},
        docker=True,
    ),
    # Compose substitutes variables in its file: it gets only those for reaching the engine.
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
    # This program again. It installs packages, whose scripts run; each gate selects from its variables.
    "nox": Policy(
        whole=True,
        drop=(
            *("ACTIONS_*_TOKEN", "FORGEJO_TOKEN", "GITEA_TOKEN", "GITHUB_TOKEN", "SF_REGISTRY_TOKEN", "SF_SIGNING_*"),
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
"""The policies of the programs we start; deploy.toml sets the variables of the gates' commands."""

INSIDE = (
    *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "http_proxy", "no_proxy"),
    *("LD_AUDIT", "LD_DEBUG", "LD_PRELOAD", "NODE_CHANNEL_FD", "NODE_COMPILE_CACHE", "NODE_DEBUG"),
    *("NODE_DEBUG_NATIVE", "NODE_EXTRA_CA_CERTS", "NODE_ICU_DATA", "NODE_OPTIONS", "NODE_PATH"),
    *("NODE_REDIRECT_WARNINGS", "NODE_TEST_CONTEXT", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_USE_ENV_PROXY"),
    *("NODE_USE_SYSTEM_CA", "NODE_V8_COVERAGE", "OPENSSL_CONF", "OPENSSL_MODULES", "SSLKEYLOGFILE", "SSL_CERT_DIR"),
    *("SSL_CERT_FILE",),
)
"""A container's variables that would affect our own commands inside it: node's, ld.so's, OpenSSL's.

An empty value counts as unset. Other variables stay: an image may need them to start node at all.
"""


def inside() -> list[str]:
    """Return options of `docker run` and `docker exec` that isolate a command from its container's variables."""
    return [f"--env={name}=" for name in INSIDE]


def program(argv: Sequence[str]) -> str:
    """Return the name of the policy for ARGV."""
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
    """Return all variables for the policy NAME, taken from ENVIRONMENT or else from this process."""
    caller = os.environ if environment is None else environment
    policy = POLICIES.get(name, BARE)
    given = {key: value for key, value in caller.items() if policy.passes(key)} | dict(policy.fixed)
    if home(caller) is None:  # some programs fail without a home
        given["HOME"] = str(_place() / "home")
    if policy.docker:
        given |= _docker(caller)
    if policy.detached:
        given |= {key: _absolute(given[key]) for key in ("DOCKER_CERT_PATH", "DOCKER_CONFIG", "PATH") if key in given}
    return given


def folder(name: str) -> Path | None:
    """Return the working folder for the policy NAME; None for this process's own."""
    return _place() / "empty" if POLICIES.get(name, BARE).detached else None


def prefix(name: str) -> list[str]:
    """Return an argv prefix (`env ...`) to run a command in the surroundings of the policy NAME.

    It unsets and sets variables of this process; none of the values in it is secret.
    """
    wanted = read(name)
    there = folder(name)
    changed = [f"{key}={value}" for key, value in wanted.items() if os.environ.get(key) != value]
    unset = [f"--unset={key}" for key in os.environ if key not in wanted]
    return ["env", *([f"--chdir={there}"] if there else []), *unset, *changed]


def home(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the user's home folder; None for a user id without a name and without HOME."""
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
    """Return the variables that point docker to the user's config without its proxies."""
    own = docker_config.find(caller.get("DOCKER_CONFIG", ""), home(caller))
    with _mutex:
        if own is None:  # docker would look for `.docker` in its working folder
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
    """Return this process's private temporary folder, with `empty` and `home` in it."""
    return Path(_temporary().name)
