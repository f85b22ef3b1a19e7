"""The sessions: `nox -s gates`."""

from selfdeploy.sessions import run_gates as run_gates
