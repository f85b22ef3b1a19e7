"""The commands for an environment that has a release: what it runs and ran, back to what it proved, down; no logic."""

from typing import TYPE_CHECKING

from selfdeploy.console import Console

if TYPE_CHECKING:
    from selfdeploy import config
    from selfdeploy.release import intent


def rollback(
    show: Console,
    environment: str,
    to: str = "",
    hold: bool = False,
    wait: str = "",
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Put ENVIRONMENT back to what it proved before."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.environments import queue
    from selfdeploy.probes import probe
    from selfdeploy.release import intent, upkeep

    project, behind = deploy_toml.load(), queue.parse(wait, show.note)
    if dry_run or _must_ask(show, project, environment, yes=yes):
        coming = intent.roll_back(project, environment, to, behind, hold=hold)
        if dry_run:
            show.result(str(coming), coming.as_data())
            return
        _ask(show, coming)
    with show.stage(environment), probe.telling(show.waits):
        proven, known = upkeep.roll_back(project, environment, to, behind, show.took, hold=hold, tell=show.note)
    show.did(environment)
    told = proven.model_dump(exclude={"manifest", "rendered", "envelope"}) | {"warning": known}
    show.result(f"{environment} runs {proven.revision} ({proven.digest}), proven\n{known}".strip(), told)


def up(show: Console, environment: str, wait: str = "", dry_run: bool = False) -> None:
    """Have ENVIRONMENT run what it last proved: after inv down, a reboot, or whatever stopped it."""
    _bring_up(show, environment, wait, dry_run=dry_run, again=False)


def restart(show: Console, environment: str, wait: str = "", dry_run: bool = False) -> None:
    """Start what ENVIRONMENT last proved anew, also where it answers: a server that hangs, a secret that changed."""
    _bring_up(show, environment, wait, dry_run=dry_run, again=True)


def _bring_up(show: Console, environment: str, wait: str, *, dry_run: bool, again: bool) -> None:
    from selfdeploy.config import deploy_toml
    from selfdeploy.environments import queue
    from selfdeploy.probes import probe
    from selfdeploy.release import intent, upkeep

    project, behind = deploy_toml.load(), queue.parse(wait, show.note)
    if dry_run:
        coming = intent.bring_up(project, environment, behind, again=again)
        show.result(str(coming), coming.as_data())
        return
    with show.stage(environment), probe.telling(show.waits):
        proven = upkeep.bring_up(project, environment, behind, show.took, again=again)
    show.did(environment)
    told = proven.model_dump(exclude={"manifest", "rendered", "envelope"})
    show.result(f"{environment} runs {proven.revision} ({proven.digest}), proven", told)


def unhold(show: Console, environment: str, digest: str, wait: str = "", dry_run: bool = False) -> None:
    """Free DIGEST, which failed in ENVIRONMENT, to be rolled out there again."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.environments import queue
    from selfdeploy.release import intent, upkeep

    if dry_run:
        coming = intent.unhold(deploy_toml.load(), environment, digest)
        show.result(str(coming), coming.as_data())
        return
    upkeep.unhold(deploy_toml.load(), environment, digest, queue.parse(wait, show.note))
    show.did(environment)
    show.result(f"{environment}: {digest} is free", {"environment": environment, "digest": digest})


def status(
    show: Console,
    environment: str = "",
    verbose: bool = False,
    check: bool = False,
    metrics: bool = False,
    watch: bool = False,
) -> int:
    """Say for each environment, or for ENVIRONMENT, whether it runs what it last proved, and what is not well."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.gates import usage
    from selfdeploy.release import status as state

    project = deploy_toml.load()
    names = [environment] if environment else list(project.environments)
    while True:
        found = [state.read(project, name) for name in names]
        if metrics:
            show.result(state.metrics(found))
        else:
            parts = [each.in_full() if verbose else str(each) for each in found]
            data = [each.as_data() for each in found]
            if verbose:
                used = usage.read(project.work)
                parts, data = [*parts, str(used)], [*data, used.as_data()]
            show.result(("\n\n" if verbose else "\n").join(parts), data, state.VERDICTS)
        if not watch:
            break
        show.again()
    return state.NOT_WELL if check and not all(each.is_well for each in found) else 0


def history(show: Console, environment: str = "", verify: bool = False) -> int:
    """List the attempts on ENVIRONMENT, or on all of them, and how each ended, newest first."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.release import history as attempts
    from selfdeploy.release import journal

    project = deploy_toml.load()
    names = [environment] if environment else list(project.environments)
    if verify:
        journals = [journal.verify(project, name) for name in names]
        show.result("\n".join(map(str, journals)), [each.as_data() for each in journals])
        return max((each.exit_code for each in journals), default=0)
    told = attempts.read(project, names)
    show.result("\n".join(map(str, told)), [entry.as_data() for entry in told])
    return 0


def logs(show: Console, environment: str, tail: str = "100", follow: bool = False, front: bool = False) -> None:
    """Print what the replicas of ENVIRONMENT, or its front, wrote last."""
    from selfdeploy import environments
    from selfdeploy.config import deploy_toml, flags

    lines = flags.count("--tail", tail)
    show.result(environments.connect(deploy_toml.load(), environment).logs(lines, follow=follow, front=front))


def down(show: Console, environment: str, wait: str = "", yes: bool = False, dry_run: bool = False) -> None:
    """Stop and remove ENVIRONMENT's server; its volumes and its record stay."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.environments import queue
    from selfdeploy.release import intent, upkeep

    project, behind = deploy_toml.load(), queue.parse(wait, show.note)
    if dry_run or _must_ask(show, project, environment, yes=yes):
        coming = intent.take_down(project, environment, behind)
        if dry_run:
            show.result(str(coming), coming.as_data())
            return
        _ask(show, coming)
    with show.stage(environment):
        removed = upkeep.take_down(project, environment, behind)
    if removed:
        show.did(environment)
    told = "is down; its volumes and its record stay" if removed else "was down already; nothing was removed"
    show.result(f"{environment} {told}", {"environment": environment, "removed": removed})


def _must_ask(show: Console, project: "config.Project", environment: str, *, yes: bool) -> bool:
    """Say whether a person at a terminal is asked before ENVIRONMENT, which others come before, is changed."""
    return show.asks and not yes and bool(project.before(environment))


def _ask(show: Console, coming: "intent.Intent") -> None:
    from selfdeploy import errors

    if not show.agrees(f"{coming}\nGo on?"):
        raise errors.Declined(f"{coming.environment}: not confirmed; nothing was changed", "--yes says it beforehand")


FUNCTIONS = (rollback, up, restart, unhold, status, history, logs, down)
