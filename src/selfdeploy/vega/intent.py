"""Dry runs of the shared server's commands: they read the real state, change nothing and take no lock."""

import os
from collections.abc import Mapping

from selfdeploy.vega import live, report, server, settings


def up(
    vega: server.Vega, flags: settings.Flags, *, build: bool = False, environment: Mapping[str, str] = os.environ
) -> report.Told:
    """Report the server that `vega.up` would start or replace, and its settings.

    Raises:
        errors.BuildStale, errors.MountRefused, errors.BindRefused, errors.EngineElsewhere, errors.PortTaken: as
            `vega.up` would.
    """
    chosen = settings.choose(vega.project, flags, environment, settings.person(environment))
    return _replace(vega, vega.checked(chosen), build=build)


def restart(vega: server.Vega, *, build: bool = False) -> report.Told:
    """Report the server that `vega.restart` would replace; raise as `vega.restart` would."""
    return _replace(vega, vega.present(), build=build)


def _replace(vega: server.Vega, chosen: settings.Settings, *, build: bool) -> report.Told:
    before = vega.engine.found()
    server.refuse_taken_port(chosen, before)
    made = vega.checkout(chosen)
    if not build:
        live.require_current(made)
    actions = [f"would build what {made.revision.checkout} is now"] if build else []
    actions.append(f"would replace {vega.engine.name} at {before.url}" if before else f"would start {vega.engine.name}")
    return report.foretold(actions, chosen)


def down(vega: server.Vega) -> report.Told:
    """Report the server that `vega.down` would remove."""
    before = vega.engine.found()
    if before is None:
        return f"{vega.engine.name}: nothing runs; nothing would be removed", {"actions": [], "dry": True}
    action = f"would stop and remove {vega.engine.name} at {before.url}; the workspaces and ~/.sf stay"
    return action, {"actions": [action], "dry": True}
