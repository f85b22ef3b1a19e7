"""The commands for an environment that has a release: what it runs and ran, back to what it proved, down; no logic."""

from selfdeploy.console import Console


def rollback(show: Console, environment: str, to: str = "", wait: str = "") -> None:
    """Put ENVIRONMENT back to what it proved before."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

    with show.stage(environment):
        proven, known = upkeep.roll_back(deploy_toml.load(), environment, to, queue.parse(wait, show.note), show.took)
    told = proven.model_dump(exclude={"manifest", "rendered"}) | {"warning": known}
    show.result(f"{environment} runs {proven.revision} ({proven.digest}), proven\n{known}".strip(), told)


def unhold(show: Console, environment: str, digest: str, wait: str = "") -> None:
    """Free DIGEST, which failed in ENVIRONMENT, to be rolled out there again."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

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


def down(show: Console, environment: str, wait: str = "") -> None:
    """Stop and remove ENVIRONMENT's server; its volumes and its record stay."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

    with show.stage(environment):
        upkeep.take_down(deploy_toml.load(), environment, queue.parse(wait, show.note))


FUNCTIONS = (rollback, unhold, status, history, logs, down)
