"""Checks of the requirements of a release, on this machine and in each environment; changes nothing."""

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from selfdeploy import config, environments, errors, source
from selfdeploy.build import builders, local_registry
from selfdeploy.build.assembly import Assembly
from selfdeploy.environments import fitness
from selfdeploy.release import status
from selfdeploy.shipped import guide

COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}
"""The colour of each state on a terminal."""

TOOLS = {
    "git": "the checkout is read with it",
    "setpriv": "it ends what a command that is killed has started; util-linux has it",
    "timeout": "it ends what takes too long; coreutils has it",
}
"""The programs required by every release, and their purpose."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check; HINT is the fix, CODE the exit code of a failure."""

    what: str
    state: Literal["ok", "warning", "missing"]
    detail: str
    hint: str = ""
    code: int = 0

    def __str__(self) -> str:
        """Return it as `inv doctor` prints it."""
        lines = self.detail.splitlines() or [""]
        below = [*lines[1:], *([f"hint: {self.hint}"] if self.hint else [])]
        return "\n".join([f"{self.state:<8} {self.what:<12} {lines[0]}", *(f"{'':<22}{line}" for line in below)])

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "what": self.what,
            "state": self.state,
            "detail": self.detail,
            "hint": self.hint,
            "exit": self.code,
        }


def exit_code(findings: list[Finding]) -> int:
    """Return the code of the first of FINDINGS in state `missing`, or 0."""
    return next((finding.code for finding in findings if finding.state == "missing"), 0)


def look(project: config.Project) -> Iterator[Finding]:
    """Yield findings on the machine, then on the release's parts, then on each environment of PROJECT."""
    yield Finding(what="python", state="ok", detail=platform.python_version())
    for name, why in TOOLS.items():
        yield _look(name, lambda name=name, why=why: _program(name, why))  # type: ignore[misc]
    yield _look("disk", lambda: _free(project))
    assembly = Assembly(project)
    yield _look("checkout", lambda: _checkout(assembly), mild=(errors.CheckoutDirty,))
    yield _look("registry", lambda: _registry(assembly))
    yield _look("builder", lambda: _builder(assembly))
    for name in project.environments:
        yield from _environment(project, name)


def _look(what: str, function: Callable[[], str], mild: tuple[type[errors.SelfdeployError], ...] = ()) -> Finding:
    try:
        return Finding(what=what, state="ok", detail=function())
    except errors.SelfdeployError as exc:
        state: Literal["warning", "missing"] = "warning" if isinstance(exc, mild) else "missing"
        return Finding(what=what, state=state, detail=exc.message, hint=guide.fit(exc.hint), code=exc.exit_code)


def _program(name: str, why: str) -> str:
    if (found := shutil.which(name)) is None:
        raise errors.ToolMissing(f"not found; {why}", "./bootstrap --check says what to install")
    return found


def _free(project: config.Project) -> str:
    fitness.refuse_full(project.root)
    return f"{shutil.disk_usage(project.root).free >> 30} GiB free"


def _checkout(assembly: Assembly) -> str:
    source.refuse_dirty(assembly.revision)
    _ = assembly.outline
    return f"clean at {assembly.revision.commit[:12]}"


def _registry(assembly: Assembly) -> str:
    if local_registry.is_wanted(assembly.project):
        return f"{assembly.project.image.repository}: a release starts it"
    assembly.store.ping()
    assembly.store.may_push()
    return f"{assembly.project.image.repository} answers, and takes a push"


def _builder(assembly: Assembly) -> str:
    assembly.images.builder().refuse_unready()
    base = assembly.project.image.base or "made here" if builders.wants_base(assembly.project) else "the builder's own"
    return f"{assembly.project.image.builder}, the base image {base}"


def _environment(project: config.Project, name: str) -> Iterator[Finding]:
    environment = environments.connect(project, name)
    fit = _look(name, lambda: _fit(environment))
    yield fit
    if fit.state == "ok":
        found = status.read(project, name)
        for line in found.describe_trouble():
            yield Finding(what=name, state="warning", detail=line, hint="inv status")


def _fit(environment: environments.Environment) -> str:
    environment.refuse_unfit()
    return f"{environment.url}: what it runs on answers, and takes a release"
