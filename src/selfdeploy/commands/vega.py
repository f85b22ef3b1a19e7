"""The commands of the shared server: `inv vega.up` and its like; no logic."""

import shlex

from selfdeploy.console import Console


def up(
    show: Console,
    workspace: str | None = None,
    workspaces: str | None = None,
    bind: str | None = None,
    port: str | None = None,
    source: str | None = None,
    build: bool = False,
    dry_run: bool = False,
) -> None:
    """Start the shared server on the live checkout, or replace the one that runs."""
    from selfdeploy.vega import intent, server, settings

    flags = settings.Flags(source=source, workspace=workspace, workspaces=workspaces, bind=bind, port=port)
    if dry_run:
        show.result(*intent.up(server.load(show, source or ""), flags, build=build))
        return
    told = server.load(show, source or "").up(flags, build=build)
    show.did("vega")
    show.result(*told)


def restart(show: Console, build: bool = False, dry_run: bool = False) -> None:
    """Replace the shared server with one that runs the checkout as it is now; put it back when that fails."""
    from selfdeploy.vega import intent, server

    if dry_run:
        show.result(*intent.restart(server.load(show), build=build))
        return
    told = server.load(show).restart(build=build)
    show.did("vega")
    show.result(*told)


def down(show: Console, dry_run: bool = False) -> None:
    """Stop and remove the shared server; the workspaces and ~/.sf stay."""
    from selfdeploy.vega import intent, server

    if dry_run:
        show.result(*intent.down(server.load(show)))
        return
    removed = server.load(show).down()
    if removed:
        show.did("vega")
    told = "is down; the workspaces and ~/.sf stay" if removed else "was down already; nothing was removed"
    show.result(f"the shared server {told}", {"removed": removed})


def status(show: Console) -> None:
    """Say what the shared server runs, where each of its values came from, and what it answers."""
    from selfdeploy.vega import server

    show.result(*server.load(show).status())


def logs(show: Console, follow: bool = False, tail: str = "100") -> None:
    """Print what the shared server wrote last."""
    from selfdeploy.config import flags
    from selfdeploy.vega import server

    server.load(show).follow_logs(flags.count("--tail", tail), follow=follow)


def shell(show: Console, dry_run: bool = False) -> None:
    """Open a shell in the shared server's workspace."""
    from selfdeploy.vega import server

    if dry_run:
        argv = ["docker", *server.load(show).shell_command()]
        show.result(f"would run {shlex.join(argv)}", {"argv": argv, "dry": True})
        return
    server.load(show).shell()


FUNCTIONS = (down, logs, restart, shell, status, up)
