"""The live checkout as a value: its current files, uncommitted changes included, and its build."""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydantic

from selfdeploy import errors, manifest, process, source, tree
from selfdeploy.source import git as plumbing
from selfdeploy.vega import modules

SERVER = Path("dist/web/standalone/server.js")
STAMP = Path("dist/web/standalone/.selfdeploy-build.json")
"""Beside the server, so that a manual build, which recreates that folder, removes it."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """A checkout at one moment: HEAD, the git tree of its files, and the files CHANGED since HEAD."""

    revision: source.Revision
    changed: tuple[str, ...]

    @property
    def dirty(self) -> bool:
        """True if the files differ from HEAD's."""
        return bool(self.changed)


class Stamp(manifest.Value):
    """What dist/ was built from, and how."""

    revision: manifest.Commit
    tree: manifest.Commit
    changed: tuple[str, ...]
    builtAt: str  # noqa: N815 -- the manifest's own key
    gates: tuple[manifest.Gate, ...]


class Source(manifest.Source):
    """What was built, where no revision alone says it."""

    dirty: bool
    changed: tuple[str, ...]
    builtAt: str  # noqa: N815 -- the manifest's own key


class Manifest(manifest.Manifest):
    """What a vega server runs: a build of the live checkout, on a local image."""

    kind: Literal["source"] = "source"  # type: ignore[assignment]
    source: Source

    @pydantic.model_validator(mode="after")
    def _whole(self) -> "Manifest":
        if not self.gates:
            raise ValueError("gates: there is none")
        return self

    @property
    def version(self) -> dict[str, object]:
        """The fields that `/api/version` has to return for this build."""
        return super().version | ({"dirty": True} if self.source.dirty else {})


def git(
    checkout: Path,
    *argv: str,
    variables: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
) -> process.Outcome:
    """Run git in CHECKOUT with VARIABLES, without hooks, daemons or advice, so that it changes nothing there.

    Raises:
        errors.SourceUnusable: git failed, and CHECK is set.
    """
    calm = ("core.safecrlf=false", "advice.addEmbeddedRepo=false")
    outcome = plumbing.run(checkout, *argv, settings=calm, variables=variables, stdin=stdin, timeout=300)
    if check and outcome.code:
        why = outcome.complaint or f"git {argv[0]}: exit code {outcome.code}"
        raise errors.SourceUnusable(f"{checkout}: {why}", "fix the checkout and run the command again")
    return outcome


def quoted(folder: Path) -> str:
    """Quote FOLDER, with any characters in its name, for git's variables that list folders."""
    return json.dumps(str(folder), ensure_ascii=False)


def read(
    checkout: Path,
    repository: str = "",
    objects: Path | None = None,
    submodules: Literal["refuse", "checkout"] = "refuse",
) -> Live:
    """Return CHECKOUT as it is now; if OBJECTS is given, keep its files as git objects in that folder.

    Raises:
        errors.SourceUnusable: it is not a git checkout, or git cannot read one of its files.
        errors.CheckoutDirty: a submodule has changes, and SUBMODULES are part of a build.
    """
    head = source.read(checkout, repository, submodules)
    if submodules == "checkout":
        modules.refuse_changed(checkout)
    with tree.temporary() as scratch:
        index, kept = Path(scratch, "index"), objects or Path(scratch, "objects")
        kept.mkdir(parents=True, exist_ok=True)
        asked = git(checkout, "rev-parse", "--git-path", "index", "--git-path", "objects").stdout
        paths = os.fsdecode(asked).removesuffix("\n").split("\n")
        if len(paths) != 2:  # noqa: PLR2004 -- as many as were asked for
            raise errors.SourceUnusable(f"{checkout}: git does not tell where its index is", "git rev-parse --git-dir")
        theirs, known = (checkout / path for path in paths)
        if theirs.exists():  # it lists the unchanged files; hashing all of them takes long
            shutil.copy2(theirs, index)
        variables = {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(kept),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted(known),
        }
        git(checkout, "add", "--all", "--", ".", variables=variables)
        prefix = () if head.path == "." else (f"--prefix={head.path}/",)
        written = git(checkout, "write-tree", *prefix, variables=variables).text
        if not source.COMMIT.fullmatch(written):
            raise errors.SourceUnusable(f"{checkout}: git tells no tree of it", "git fsck")
        names = git(checkout, "diff-tree", "-r", "-z", "--name-only", head.tree, written, variables=variables).stdout
    changed = tuple(sorted(name.decode(errors="replace") for name in names.split(b"\0") if name))
    return Live(revision=dataclasses.replace(head, tree=written, live=True), changed=changed)


def stamp(live: Live, at: str, gates: tuple[manifest.Gate, ...]) -> Stamp:
    """Return the stamp of a build of LIVE by GATES, finished at AT."""
    made = live.revision
    return Stamp(revision=made.commit, tree=made.tree, changed=live.changed, builtAt=at, gates=gates)


def read_stamp(root: Path) -> Stamp | None:
    """Return the stamp of ROOT's dist/; None if it is missing or unreadable."""
    try:
        return Stamp.model_validate_json((root / STAMP).read_bytes())
    except (OSError, pydantic.ValidationError):
        return None


def why_stale(live: Live) -> str:
    """Return why dist/ is not a build of LIVE's files; empty if it is."""
    root = live.revision.checkout
    if not (root / SERVER).is_file():
        return f"{SERVER} is missing"
    built = read_stamp(root)
    if built is None:
        return f"{SERVER} does not say what it was built from"
    if built.revision != live.revision.commit:
        return f"{SERVER} was built from {built.revision[:12]}, and HEAD is {live.revision.commit[:12]}"
    if built.tree != live.revision.tree:
        files = sorted(set(built.changed) ^ set(live.changed)) or list(live.changed)
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""  # noqa: PLR2004 -- a line
        return f"{SERVER} is older than {', '.join(files[:5])}{more}"
    return ""


def require_current(live: Live) -> Stamp:
    """Return the stamp of LIVE's dist/.

    Raises:
        errors.BuildStale: dist/ is missing, or was not built from the current files.
    """
    why, found = why_stale(live), read_stamp(live.revision.checkout)
    if why or found is None:
        raise errors.BuildStale(f"{live.revision.checkout}: {why}", "build it: the same command with --build")
    return found


def describe(live: Live, built: Stamp, repository: str, image: str) -> Manifest:
    """Return the manifest of the build BUILT on the local image with the id IMAGE."""
    return Manifest(
        schema=1,
        source=Source(
            repository=live.revision.repository,
            revision=built.revision,
            path=live.revision.path,
            tree=built.tree,
            dirty=bool(built.changed),
            changed=built.changed,
            builtAt=built.builtAt,
        ),
        gates=built.gates,
        image=manifest.Image(
            repository=f"localhost/{repository}",
            digest=image,
            mediaType="application/vnd.docker.container.image.v1+json",
            platforms={},
        ),
        probes=manifest.PROBES,
    )


def parse(data: bytes, where: str) -> Manifest:
    """Parse DATA as a manifest; WHERE names it in an error.

    Raises:
        errors.ManifestInvalid: DATA is not a manifest of kind `source`.
    """
    try:
        return Manifest.model_validate(json.loads(data), strict=False)
    except (ValueError, RecursionError) as exc:
        raise errors.ManifestInvalid(f"{where}: no manifest of a live checkout", "inv vega.up writes it anew") from exc
