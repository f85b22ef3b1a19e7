"""Translation of the rendered Compose file into equivalent `docker build` and `docker run` options; pure."""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from selfdeploy import errors

KEYS = frozenset(
    {"build", "cap_drop", "command", "container_name", "environment", "healthcheck", "image", "labels", "logging"}
    | {
        "cpus",
        "mem_limit",
        "memswap_limit",
        "network_mode",
        "pids_limit",
        "ports",
        "restart",
        "security_opt",
        "stop_grace_period",
        "user",
        "volumes",
        "working_dir",
    }
)
FLAVOUR = "compose.vega.yml.j2"


@dataclass(frozen=True, kw_only=True)
class Build:
    """The build options of the image, for buildx and the engine's own builder alike (python-on-whales)."""

    context: str
    file: str
    args: Mapping[str, str]
    network: str
    tag: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """The container: its image, its command, and python-on-whales' options for `docker run`."""

    image: str
    command: tuple[str, ...]
    options: Mapping[str, Any]


def service(rendered: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the only service of RENDERED, and the real names of its named volumes by their key.

    Raises:
        errors.ConfigInvalid: RENDERED has a second service, or an option without a translation.
    """
    data = _read(rendered)
    server: dict[str, Any] = data["services"]["server"]
    unknown = sorted(set(server) - KEYS)
    if unknown or set(data["services"]) != {"server"}:
        raise errors.ConfigInvalid(
            f"{FLAVOUR}: {', '.join(unknown) or 'more than one service'}: docker run would not be told",
            "leave it out, or install the Compose plugin",
        )
    return server, {name: volume["name"] for name, volume in data.get("volumes", {}).items()}


def _read(rendered: str) -> dict[str, Any]:
    data: dict[str, Any] = _plain(yaml.safe_load(rendered))
    return data


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, yaml.YAMLError) as exc:
        raise errors.ConfigInvalid(
            f"{FLAVOUR}: not as it is needed: {type(exc).__name__}: {exc}", "compare it with the one that comes with us"
        ) from exc


def _plain(value: Any) -> Any:  # noqa: ANN401 -- as YAML has it
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.replace("$$", "$") if isinstance(value, str) else value  # as Compose interpolates


@_explained()
def build(rendered: str) -> Build:
    """Return the image build of RENDERED; ignore everything else.

    Raises:
        errors.ConfigInvalid: RENDERED has no complete build.
    """
    server = _read(rendered)["services"]["server"]
    told = server["build"]
    return Build(
        context=told["context"],
        file=f"{told['context']}/{told['dockerfile']}",
        args=told["args"],
        network=told["network"],
        tag=server["image"],
    )


@_explained()
def run(rendered: str) -> Run:
    """Return the `docker run` options equivalent to RENDERED.

    Raises:
        errors.ConfigInvalid: RENDERED lacks an option, or has one without a translation.
    """
    server, volumes = service(rendered)
    health = server["healthcheck"]
    options = {
        "name": server["container_name"],
        "workdir": server["working_dir"],
        "user": server["user"],
        "networks": [server["network_mode"]],
        "cap_drop": server["cap_drop"],
        "security_options": server["security_opt"],
        "pids_limit": server["pids_limit"],
        "memory": server.get("mem_limit"),
        "memory_swap": server.get("memswap_limit"),
        "cpus": server.get("cpus"),
        "restart": server["restart"],
        "stop_timeout": _seconds(server["stop_grace_period"]),
        "envs": server["environment"],
        "labels": server["labels"],
        "log_driver": server["logging"]["driver"],
        "log_options": [f"{name}={value}" for name, value in server["logging"]["options"].items()],
        "publish": [(f"{_host(port['host_ip'])}:{port['published']}", port["target"]) for port in server["ports"]],
        "mounts": [_mount(mount, volumes) for mount in server["volumes"]],
        "health_cmd": health["test"],
        "health_interval": _seconds(health["interval"]),
        "health_timeout": _seconds(health["timeout"]),
        "health_start_period": _seconds(health["start_period"]),
        "health_retries": health["retries"],
    }
    return Run(image=server["image"], command=tuple(server["command"]), options=options)


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _mount(told: Mapping[str, Any], volumes: Mapping[str, str]) -> list[str]:
    source = volumes[told["source"]] if told["type"] == "volume" else told["source"]
    return [mount(told["type"], source, told["target"], read_only=told["read_only"])]


def mount(kind: str, source: str, target: str, *, read_only: bool) -> str:
    """Return the value for `docker run --mount`, one line of comma-separated values."""
    fields = [f"type={kind}", f"source={source}", f"target={target}", *(["readonly"] if read_only else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
