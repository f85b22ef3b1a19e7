"""Finding, reading and checking deploy.toml; errors name the path of the wrong key."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import pydantic

from selfdeploy import errors
from selfdeploy.config import FILE, REQUIRED, Compose, Gate, Gates, Kubernetes, Project, overlay, place
from selfdeploy.config.overlay import Overlay
from selfdeploy.config.surroundings import find_clashes

_DEFAULTS = {name: default.model_dump(exclude_unset=True) for name, default in Project().environments.items()}
KINDS = "the kinds are compose and kubernetes"


def find(start: Path) -> Path:
    """Return the deploy.toml of START or of the nearest folder above it.

    Raises:
        errors.ConfigInvalid: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise errors.ConfigInvalid(f"{start}: no {FILE} here or above", "write one; docs/configuration.md lists its keys")


def load(start: Path | None = None, *, source: str | None = None) -> Project:
    """Return the project of START, or of the current folder.

    SOURCE, or else SF_SOURCE_DIR, replaces `source.path`. SF_DEPLOY_VALUES names a file to lay over the environments.
    These paths are relative to the current folder.

    Raises:
        errors.ConfigInvalid: a file is missing or malformed, or a key is unknown, missing or of a wrong type; each with
            its path.
    """
    path = find(start or Path.cwd())
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as exc:
        raise errors.ConfigInvalid(f"{path}: {exc}", "fix the file; nothing was done") from exc
    except RecursionError:
        raise errors.ConfigInvalid(f"{path}: nested too deeply", "fix the file; nothing was done") from None
    values = os.environ.get(overlay.VARIABLE)
    over = Overlay(place(values, overlay.VARIABLE)) if values else None
    project = parse(data, root=path.parent, over=over)
    if elsewhere := source or os.environ.get("SF_SOURCE_DIR"):
        path = place(elsewhere, "--source" if source else "SF_SOURCE_DIR").absolute()
        moved = project.source.model_copy(update={"path": str(path)})
        project = project.model_copy(update={"source": moved})
    return project


def parse(data: Mapping[str, Any], *, root: Path, over: Overlay | None = None) -> Project:
    """Return the project of DATA, a parsed deploy.toml in ROOT, with OVER laid over its environments."""
    for name, field in Project.model_fields.items():
        if field.exclude and name in data:
            raise errors.ConfigInvalid(f"{FILE}: {name}: unknown key", _keys(()))
    if over:
        data = {**data, "environments": over.lay_over(data.get("environments", _DEFAULTS))}
    try:
        told = pydantic.TypeAdapter(dict[str, Any]).dump_json(dict(data))
    except ValueError as exc:
        raise errors.ConfigInvalid(f"{FILE}: {exc}", "fix the file; nothing was done") from exc
    try:
        project = Project.model_validate_json(told)
    except pydantic.ValidationError as exc:
        raise _refusal(exc, over) from exc
    project = project.model_copy(update={"root": root, "origins": over.origins if over else {}})
    _check_order(project)
    _check_signatures(project)
    _check_kaniko(project)
    _check_surroundings(project.gates)
    _check_gates(project.gates.all)
    return project


def _refusal(exc: pydantic.ValidationError, over: Overlay | None) -> errors.ConfigInvalid:
    lines, hint = [], ""
    for problem in exc.errors(include_url=False, include_input=False):
        where, text = list(problem["loc"]), _say(problem["msg"])
        if problem["type"] == "extra_forbidden":
            text, hint = "unknown key", _keys(where[:-1])
        elif problem["type"] == "missing":
            text, hint = "missing", _keys(where[:-1])
        elif problem["type"].startswith("union_tag"):
            tag = problem["ctx"].get("tag")
            where, text, hint = [*where, "kind"], f"{tag!r} is not a kind" if tag else "missing", KINDS
        if where[0] == "environments" and where[2:3] != ["kind"]:
            del where[2:3]  # the kind of environment it was read as
        path = ".".join(str(part) for part in where)
        lines.append(f"{over.origins.get(path, FILE) if over else FILE}: {path}: {text}")
    return errors.ConfigInvalid("\n".join(lines), hint or "docs/configuration.md lists every key and its type")


def _say(message: str) -> str:
    """Return pydantic's MESSAGE in our style: unchanged from our validators, otherwise with a lower-case start."""
    own = message.removeprefix("Value error, ")
    return own if own != message else own[:1].lower() + own[1:]


def _keys(path: Sequence[int | str]) -> str:
    kind: Any = Project
    for part in path:
        kind = _within(kind, part)
    known = [field.alias or name for name, field in _models(kind)[0].model_fields.items() if not field.exclude]
    return f"the keys here are {', '.join(known)}"


def _within(kind: Any, part: int | str) -> Any:  # noqa: ANN401 -- annotations are of any type
    """Return the type of the value at the key PART in the type KIND."""
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    models = _models(kind)
    if len(models) > 1:
        return next(model for model in models if part in get_args(model.model_fields["kind"].annotation))
    fields = models[0].model_fields.items()
    return next(field.annotation for name, field in fields if part in {field.alias, name})


def _models(kind: Any) -> list[type[pydantic.BaseModel]]:  # noqa: ANN401 -- annotations are of any type
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return [kind]
    return [model for inner in get_args(kind) for model in _models(inner)]


def _check_signatures(project: Project) -> None:
    """Raise `errors.ConfigInvalid` if an environment wants signatures by unknown, revoked or no keys."""
    for name, environment in project.environments.items():
        if environment.authority == "forgejo" and not project.trust.keys:
            raise errors.ConfigInvalid(
                f'{FILE}: environments.{name}.authority: "forgejo" without trust.keys believes whoever writes to the '
                "registry",
                'inv keys.new --output keys/forgejo, then write [trust] with keys = ["keys/forgejo.pub"], and give '
                "Forgejo's repository keys/forgejo.key as its secret SF_SIGNING_KEY: docs/trust.md",
            )
        for key in environment.signed_by:
            if key not in project.trust.valid:
                what = "is revoked" if key in project.trust.keys else "is not one of trust.keys"
                known = ", ".join(project.trust.valid) or "none"
                raise errors.ConfigInvalid(
                    f"{FILE}: environments.{name}.signed_by: {key} {what}", f"the keys are: {known}"
                )

    common = set.intersection(*(set(project.signed_by(name)) for name in project.environments))
    if project.trust.keys and not common:
        raise errors.ConfigInvalid(
            f"{FILE}: environments: signed_by: no key is accepted by all of them",
            "a release is signed by one key; name one that each environment accepts",
        )


def _check_order(project: Project) -> None:
    if not project.environments:
        raise errors.ConfigInvalid(f"{FILE}: environments: there is none", "add at least one")
    if "vega" in project.environments:
        raise errors.ConfigInvalid(
            f"{FILE}: environments.vega: the name is the shared server's", "call it otherwise; see [vega]"
        )
    seen: list[str] = []
    for name, environment in project.environments.items():
        for index, before in enumerate(environment.after or ()):
            path = f"{FILE}: environments.{name}.after[{index}]"
            if before not in project.environments:
                known = ", ".join(project.environments)
                raise errors.ConfigInvalid(f"{path}: no environment named {before!r}", f"the environments are {known}")
            if before not in seen:
                raise errors.ConfigInvalid(f"{path}: {before!r} comes later", "an environment comes after earlier ones")
        _check_apart(project, name, seen)
        seen.append(name)


def _check_apart(project: Project, name: str, others: Sequence[str]) -> None:
    mine = _places(project, name)
    for other in others:
        for key, value in _places(project, other).items():
            if mine.get(key) == value:
                path = f"environments.{name}.{key}"
                raise errors.ConfigInvalid(
                    f"{project.origins.get(path, FILE)}: {path}: {other} has the same", "each one has its own"
                )


def _places(project: Project, name: str) -> dict[str, tuple[object, ...]]:
    """Return the values, by key, that two environments must not share."""
    environment = project.environment(name)
    if isinstance(environment, Compose):
        places: dict[str, tuple[object, ...]] = {"project": (environment.engine, project.compose_project(name))}
        if environment.traefik:
            return places | {"traefik.rule": (environment.engine, environment.traefik.volume, environment.traefik.rule)}
        return places | {"port": (environment.engine, environment.bind, environment.port)}
    told: dict[str, tuple[object, ...]] = {"name": (*environment.cluster, environment.namespace, environment.name)}
    return {**told, "ingress.host": (*environment.cluster, environment.ingress.host)} if environment.ingress else told


def _check_kaniko(project: Project) -> None:
    name = project.image.kaniko.environment
    if name is not None and not isinstance(project.environments.get(name), Kubernetes):
        clusters = [known for known, told in project.environments.items() if isinstance(told, Kubernetes)]
        raise errors.ConfigInvalid(
            f"{FILE}: image.kaniko.environment: no Kubernetes environment named {name!r}",
            f"there {'are' if clusters else 'is'} {', '.join(clusters) or 'none'}; without the key it is a container",
        )


def _check_surroundings(gates: Gates) -> None:
    for key, why in find_clashes(gates.environment, gates.variables, gates.tools).items():
        raise errors.ConfigInvalid(f"{FILE}: gates.{key}: {why}", "docs/configuration.md says what the gates have")
    for name, override in gates.override.items():
        if name not in REQUIRED and not override.command:
            raise errors.ConfigInvalid(
                f"{FILE}: gates.override.{name}.command: missing", f"the contract's gates are {', '.join(REQUIRED)}"
            )


def _check_gates(gates: Mapping[str, Gate]) -> None:
    done: set[str] = set()
    left = dict(gates)
    for name, gate in gates.items():
        for need in gate.needs:
            if need not in gates:
                raise errors.ConfigInvalid(
                    f"{FILE}: gates.override.{name}.needs: no gate named {need!r}", f"the gates are {', '.join(gates)}"
                )
    while left:
        ready = [name for name, gate in left.items() if done.issuperset(gate.needs)]
        if not ready:
            raise errors.ConfigInvalid(f"{FILE}: gates: {', '.join(left)} wait for each other", "break the circle")
        for name in ready:
            done.add(name)
            del left[name]
