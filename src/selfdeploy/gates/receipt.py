"""The receipt of the required gates: the passed gates, their revision, and the hash of their tree."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfdeploy import config, contents, errors, source, tree
from selfdeploy.gates import verdict
from selfdeploy.gates.room import Room


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """These gates passed on this revision and left a tree with this hash; without the tree it proves nothing."""

    key: str
    tree: str
    gates: Mapping[str, Mapping[str, object]]
    contents: Mapping[str, Any] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """Paths below the tree that every image of it must have, one for each required package."""
        return tuple(self.contents.get("required", ()))

    @property
    def facts(self) -> dict[str, Any]:
        """The contents for the evidence, with only the number of required packages."""
        return {**self.contents, "required": len(self.required)}


@dataclass(frozen=True, kw_only=True)
class GatedTree:
    """The files below `ship`: they passed the gates and go into the image."""

    revision: source.Revision
    ship: Path
    digest: str
    receipt: Receipt

    @property
    def root(self) -> Path:
        """The folder whose content goes to the image's `/`: `ship` is `opt/sf` in it."""
        return self.ship.parents[1]

    @property
    def packages(self) -> dict[str, Any]:
        """The npm packages that ship, as `contents.list_packages` returned them.

        Raises:
            errors.SbomUnusable: npm did not list them, or the list has changed since.
        """
        told = self.receipt.contents.get("sbom", {})
        if "sha256" not in told:
            hint = "set gates.node to a version whose npm lists them (npm 10 or newer): inv gates --fresh"
            raise errors.SbomUnusable(f"no SBOM of the gated tree: {told.get('why', 'npm was not asked')}", hint)
        file = Room(folder=self.root.parent).packages
        data = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(data).hexdigest() != told["sha256"]:
            raise errors.SbomUnusable(f"{file}: not what the gates left", "run them again: inv gates --fresh")
        return dict(json.loads(data))


def key(project: config.Project, revision: source.Revision) -> str:
    """Return the hash that binds a receipt: to the revision, the gates, their surroundings, and the choice of files."""
    gates = {name: gate.model_dump(mode="json") for name, gate in project.gates.all.items()}
    shipping = [contents.RULES, project.image.include, bool(project.gates.smoke), project.gates.audit_signatures]
    parts = [revision.commit, revision.tree, project.gates.surroundings, gates, shipping]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find(project: config.Project, revision: source.Revision) -> GatedTree | errors.SelfdeployError:
    """Return the gated tree of REVISION if all required gates passed on it, or else the error to raise."""
    place = Room.of(project, revision)
    try:
        data = json.loads(place.receipt.read_bytes())
        receipt = Receipt(key=data["key"], tree=data["tree"], gates=data["gates"], contents=dict(data["contents"]))
        if receipt.key != key(project, revision):
            return _incomplete("the receipt is of another revision, other gates or another Node")
        unproven = [
            name
            for name, gate in project.gates.all.items()
            if not is_proven(place, name, gate, receipt.gates.get(name, {}))
        ]
    except FileNotFoundError:
        return _incomplete(f"the gates have not passed on {revision.commit}")
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError):
        return _incomplete(f"{place.receipt}: damaged")
    if unproven:
        return _incomplete(f"not passed on {revision.commit}, or its log is not the receipt's: {', '.join(unproven)}")
    if not place.ship.is_dir() or tree.digest(place.ship) != receipt.tree:
        return errors.TreeChanged(f"{place.ship}: not what the gates left", "run them again: inv gates")
    return GatedTree(revision=revision, ship=place.ship, digest=receipt.tree, receipt=receipt)


def _incomplete(why: str) -> errors.GatesIncomplete:
    return errors.GatesIncomplete(f"gates: {why}", "run them: inv gates")


def is_proven(place: Room, name: str, gate: config.Gate, told: Mapping[str, object]) -> bool:
    """Return True if TOLD, the facts of the gate NAME, claims success and the log in PLACE proves it."""
    if told.get("passed") is not True:
        return False
    output = place.log(name).read_text(encoding="utf-8", errors="replace")
    return told.get("log") == digest(output) and verdict.refusal(name, gate, 0, output) is None


def digest(output: str) -> str:
    """Return the sha256 of a gate's OUTPUT, in the form of the receipt."""
    return "sha256:" + hashlib.sha256(output.encode()).hexdigest()


def require(project: config.Project, revision: source.Revision) -> GatedTree:
    """Return the gated tree of REVISION.

    Raises:
        errors.GatesIncomplete: a required gate is missing, was skipped, or ran on another revision.
        errors.TreeChanged: the tree has changed since the gates ran.
    """
    found = find(project, revision)
    if isinstance(found, errors.SelfdeployError):
        raise found
    return found
