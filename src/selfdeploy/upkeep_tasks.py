"""The commands for an environment that has a release: what it runs and ran, back to what it proved, down; no logic."""

from typing import TYPE_CHECKING

from selfdeploy.console import Console

if TYPE_CHECKING:
    from selfdeploy import config, intent


def rollback(
    show: Console, environment: str, to: str = "", wait: str = "", yes: bool = False, dry_run: bool = False
) -> None:
    """Put ENVIRONMENT back to what it proved before."""
    from selfdeploy import deploy_toml, intent, upkeep
    from selfdeploy.environments import queue

    project, behind = deploy_toml.load(), queue.parse(wait, show.note)
    if dry_run or _must_ask(show, project, environment, yes=yes):
        coming = intent.roll_back(project, environment, to, behind)
        if dry_run:
            show.result(str(coming), coming.as_data())
            return
        _ask(show, coming)
    with show.stage(environment):
        proven, known = upkeep.roll_back(project, environment, to, behind, show.took)
    told = proven.model_dump(exclude={"manifest", "rendered"}) | {"warning": known}
    show.result(f"{environment} runs {proven.revision} ({proven.digest}), proven\n{known}".strip(), told)


def unhold(show: Console, environment: str, digest: str, wait: str = "", dry_run: bool = False) -> None:
    """Free DIGEST, which failed in ENVIRONMENT, to be rolled out there again."""
    from selfdeploy import deploy_toml, intent, upkeep
    from selfdeploy.environments import queue

    if dry_run:
        coming = intent.unhold(deploy_toml.load(), environment, digest)
        show.result(str(coming), coming.as_data())
        return
    upkeep.unhold(deploy_toml.load(), environment, digest, queue.parse(wait, show.note))
    show.result(f"{environment}: {digest} is free", {"environment": environment, "digest": digest})


def status(show: Console, environment: str = "", verbose: bool = False) -> None:
    """Say for each environment, or for ENVIRONMENT, what it runs, what it last proved, and who holds it."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.gates import usage

    project = deploy_toml.load()
    names = [environment] if environment else project.environments
    parts: list[upkeep.Status | usage.Usage] = [upkeep.read_status(project, name) for name in names]
    parts += [usage.read(project.work)] if verbose else []
    show.result("\n\n".join(map(str, parts)), [part.as_data() for part in parts])


def history(show: Console, environment: str) -> None:
    """List the attempts on ENVIRONMENT and how each ended, newest first."""
    from selfdeploy import deploy_toml, upkeep

    told = upkeep.read_history(deploy_toml.load(), environment)
    show.result("\n".join(map(str, told)), [attempt.model_dump() for attempt in told])


def logs(show: Console, environment: str, tail: str = "100", follow: bool = False, front: bool = False) -> None:
    """Print what the replicas of ENVIRONMENT, or its front, wrote last."""
    from selfdeploy import deploy_toml, environments, flags

    lines = flags.count("--tail", tail)
    show.result(environments.connect(deploy_toml.load(), environment).logs(lines, follow=follow, front=front))


def down(show: Console, environment: str, wait: str = "", yes: bool = False, dry_run: bool = False) -> None:
    """Stop and remove ENVIRONMENT's server; its volumes and its record stay."""
    from selfdeploy import deploy_toml, intent, upkeep
    from selfdeploy.environments import queue

    project, behind = deploy_toml.load(), queue.parse(wait, show.note)
    if dry_run or _must_ask(show, project, environment, yes=yes):
        coming = intent.take_down(project, environment, behind)
        if dry_run:
            show.result(str(coming), coming.as_data())
            return
        _ask(show, coming)
    with show.stage(environment):
        removed = upkeep.take_down(project, environment, behind)
    told = "is down; its volumes and its record stay" if removed else "was down already; nothing was removed"
    show.result(f"{environment} {told}", {"environment": environment, "removed": removed})


def _must_ask(show: Console, project: "config.Project", environment: str, *, yes: bool) -> bool:
    """Say whether a person at a terminal is asked before ENVIRONMENT, which others come before, is changed."""
    return show.asks and not yes and bool(project.before(environment))


def _ask(show: Console, coming: "intent.Intent") -> None:
    from selfdeploy import errors

    if not show.confirm(f"{coming}\nGo on?"):
        raise errors.Declined(f"{coming.environment}: not confirmed; nothing was changed", "--yes says it beforehand")


FUNCTIONS = (rollback, unhold, status, history, logs, down)
