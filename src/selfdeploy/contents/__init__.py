"""The files of an image: chosen by npm from the export of the gates, checked, and started once."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import errors, tree
from selfdeploy.contents import check, links, lock, native, packages, patterns, published, store
from selfdeploy.contents.bom import list_packages
from selfdeploy.contents.check import refuse_incomplete
from selfdeploy.contents.layout import Plan
from selfdeploy.contents.npm import Npm
from selfdeploy.contents.smoke import start

__all__ = ["RULES", "Npm", "Staged", "list_packages", "refuse_incomplete", "refuse_outward_links", "stage", "start"]

RULES = 4
"""Version of the rules for layout and SBOM, part of a receipt's key: a tree laid out by other rules does not ship."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The shipped files: notes for the evidence, the packages that any image of them must have, and native modules."""

    files: int
    notes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    native: Mapping[str, Sequence[str]] = field(default_factory=dict)


def stage(export: Path, ship: Path, *, npm: Npm, include: Sequence[str] = (), epoch: int = 0) -> Staged:
    """Lay out the image's files below SHIP, and set all their times to EPOCH (seconds since 1970).

    npm chooses the installed packages needed in production, and the files published by the root package and each linked
    package. INCLUDE, if not empty, chooses the root package's files instead.

    Raises:
        errors.TreeChanged: links lead out of the tree, or nowhere.
        errors.SourceUnusable: package.json, the lock file or INCLUDE does not define the shipped files.
        errors.ContentsIncomplete: a package or the loader is missing, or a native module does not load.
    """
    shutil.rmtree(ship, ignore_errors=True)
    try:
        plan, required = choose(export, ship.parent, npm, include)
        plan.lay_out(ship)
        check.refuse_missing(ship, required)
        modules = native.load(ship, npm.environment)
        tree.level(ship, epoch)
    except OSError as exc:
        raise errors.unusable(exc) from exc
    return Staged(
        files=len(plan.paths), notes=tuple(plan.notes), required=tuple(_list_marks(ship, required)), native=modules
    )


def choose(export: Path, scratch: Path, npm: Npm, include: Sequence[str]) -> tuple[Plan, dict[str, lock.Required]]:
    """Return the plan of EXPORT's shipped files, and the required packages; SCRATCH is for working files."""
    package = lock.read_object(export / "package.json")
    published.read_files(package, "package.json")
    scratch.mkdir(parents=True, exist_ok=True)
    stored = store.is_used(export)
    removed = store.list_removed(export, npm, scratch) if stored else npm.list_removed(export)
    known = lock.read_required(export)
    required = {name: entry for name, entry in known.items() if name not in removed}
    # With its store, npm links a workspace only if production names it, but installs its packages anyway.
    workspaces = [entry.target for entry in known.values() if stored and (export / entry.target).is_dir()]
    installed = packages.find(export, removed, [folder for folder in workspaces if folder])
    plan = Plan(export=export)
    plan.add({"package.json": (export / "package.json").is_symlink()})
    plan.add(patterns.choose(export, include))
    plan.add(published.choose(export, [*([] if include else [""]), *installed.linked], npm, scratch))
    for folder in installed.folders:
        plan.add(patterns.walk(export, folder, {"node_modules"}))
    for path in (*installed.links, *installed.others):
        plan.add(patterns.walk(export, path))
    plan.settle_links()
    plan.add_programs(installed.bins)
    return plan, required


def refuse_outward_links(export: Path, gate: str) -> None:
    """Raise `errors.TreeChanged` if links of shipped files lead out of EXPORT after GATE has passed."""
    heads = set()
    for folder in ("", *packages.list_linked(export)):
        try:
            package = json.loads((export / folder / "package.json").read_bytes())
            files = published.read_files(package, "package.json") or []
        except (OSError, ValueError, RecursionError, AttributeError, errors.SourceUnusable):
            files = []  # `stage` reports the error
        heads |= {f"{folder}/{head}" if folder else head for head in links.heads(files)}
    links.refuse_outward(export, sorted(heads), gate)


def _list_marks(ship: Path, required: Mapping[str, lock.Required]) -> list[str]:
    """Return a path below SHIP for each REQUIRED package, by which to recognize it in an image."""
    marks, root = set(), ship.resolve()
    for location, entry in required.items():
        package = (check.find(ship, location, entry) / "package.json").resolve()
        if entry.link and (ship / location).is_symlink():
            marks.add(location)
        elif package.exists():
            marks.add(package.relative_to(root).as_posix())
    return sorted(marks)
