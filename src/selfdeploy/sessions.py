"""The nox session that runs SF's gates."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NoReturn

import nox
from nox.command import CommandFailed

from selfdeploy import config, errors, process, source
from selfdeploy.config import deploy_toml, flags
from selfdeploy.gates import receipt, runner, tools
from selfdeploy.gates.room import Room
from selfdeploy.shipped import guide


@nox.session(name="gates", venv_backend="uv|virtualenv", reuse_venv=True)
def run_gates(session: nox.Session) -> None:
    """Run SF's gates on its HEAD, with the pinned Node: all, or the named ones and those they need.

    An error ends nox at once with its own exit code; `session.error` would always exit with 1.
    """
    parser = argparse.ArgumentParser(prog="nox -s gates --")
    parser.add_argument("names", nargs="*", metavar="GATE")
    parser.add_argument("--jobs", help="how many run at once")
    parser.add_argument("--source", help="SF's checkout")
    parser.add_argument("--fresh", action="store_true", help="run them although they have passed")
    parser.add_argument("--live", metavar="COMMIT:TREE", help="run them on this git tree in place of HEAD's")
    given = parser.parse_args(session.posargs)
    try:
        jobs = None if given.jobs is None else flags.count("--jobs", given.jobs, least=1)
        project = deploy_toml.load(source=given.source)
        revision = source.read(project.source_path(), project.source.repository, project.source.submodules)
        if given.live:
            commit, _, tree = given.live.partition(":")
            revision = dataclasses.replace(revision, commit=commit, tree=tree, live=True)
        else:
            source.refuse_dirty(revision)
        if not (given.fresh or given.names) and isinstance(receipt.find(project, revision), receipt.GatedTree):
            session.log(f"all gates have passed on {revision.commit}; --fresh runs them again")
            return
        try:
            programs = find_programs(session, project)
            runner.run(project, revision, programs, names=given.names, jobs=jobs, fresh=given.fresh)
        except errors.SelfdeployError as exc:
            if revision.live or not given.names:
                Room.of(project, revision).keep_failure(exc)
            raise
    except errors.SelfdeployError as exc:
        end(exc)
    except OSError as exc:
        end(errors.unusable(exc))


def find_programs(session: nox.Session, project: config.Project) -> Path:
    """Return the folder of the gates' programs, after installing missing ones in SESSION's environment."""
    environment = Path(session.virtualenv.location)
    log = environment / "programs.log"

    def attempt(run: Callable[[IO[str]], object]) -> str:
        try:
            with log.open("w", encoding="utf-8") as file:
                run(file)
        except CommandFailed as exc:
            return log.read_text(encoding="utf-8", errors="replace") or str(exc)
        return ""

    def install(requirements: Sequence[str]) -> str:
        return attempt(lambda file: session.install(*requirements, silent=False, stdout=file, stderr=process.STDOUT))

    def npm(arguments: Sequence[str]) -> str:
        programs = environment / "programs"
        argv = [str(programs / "npm"), *arguments, "--no-audit", "--no-fund", "--no-update-notifier"]
        argv += ["--cache", str(project.work / "npm")]
        env = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        return attempt(lambda file: session.run(*argv, env=env, external=True, stdout=file, stderr=process.STDOUT))

    return tools.prepare(project.gates, environment, install, npm)


def end(error: errors.SelfdeployError) -> NoReturn:
    """Print ERROR and its hint, and end nox with its exit code."""
    print(
        f"error: {error.message}",
        *([f"hint: {guide.fit(error.hint)}"] if error.hint else []),
        sep="\n",
        file=sys.stderr,
    )
    raise SystemExit(error.exit_code)
