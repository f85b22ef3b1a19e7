"""The files that a repository with SF needs before a release: written if missing, never over another file."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfdeploy import errors, shipped, tree

FILES = {
    "tasks.py": "templates/repository/tasks.py",
    "noxfile.py": "templates/repository/noxfile.py",
    "deploy.toml": "templates/repository/deploy.toml",
    "deploy.schema.json": "docs/deploy.schema.json",
    ".forgejo/selfdeploy.txt": "templates/repository/selfdeploy.txt",
    ".forgejo/workflows/self-deploy.yml": "templates/repository/self-deploy.yml",
}
"""Each file of the repository, and our file for it."""

MADE = b'"title": "deploy.toml of selfdeploy"'
"""Text in a schema that an earlier version of ours wrote. Nobody edits it, so it is written again."""

IMPORTS = {"tasks.py": "from selfdeploy.tasks import", "noxfile.py": "from selfdeploy.sessions import"}
"""A line by which a file with more content than ours still works as ours does."""

IGNORED = (".selfdeploy/", ".nox/", ".venv/", "__pycache__/", "dist/", "node_modules/")
"""Paths that git must not see: a release refuses a checkout with uncommitted changes."""


State = Literal["written", "to write", "there", "yours", "differs"]
"""The state of a file: written by us, still to write, equal to ours, usable, or another one."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of the repository, and its state."""

    name: str
    state: State
    ours: Path

    def __str__(self) -> str:
        """Return the line to print for it."""
        return f"{self.state:<9} {self.name}"


def write(root: Path, *, dry: bool = False) -> list[File]:
    """Write the files that ROOT, the top of a git work tree, lacks; return each file with its state.

    An existing file stays as it is: `yours` if it is usable, `differs` if it is not. Only an outdated schema of ours is
    replaced, and .gitignore gets the missing lines. If DRY, nothing is written.
    """
    made = []
    for name, template in FILES.items():
        ours = shipped.own(template)
        made.append(File(name=name, state=_settle(root / name, ours.read_bytes(), dry=dry), ours=ours))
    ours = shipped.own("templates/repository/deploy.toml").parent
    return [*made, File(name=".gitignore", state=_ignore(root / ".gitignore", dry=dry), ours=ours)]


def refuse_others(files: Sequence[File]) -> None:
    """Raise `errors.FileDiffers`, which names them, if any of FILES differ from ours."""
    if others := [file for file in files if file.state == "differs"]:
        raise errors.FileDiffers(
            "\n".join(f"{file.name}: is another than selfdeploy's; it was left as it is" for file in others),
            "compare them, and take over what it lacks:\n"
            + "\n".join(f"  diff {file.ours} {file.name}" for file in others),
        )


def _settle(path: Path, ours: bytes, *, dry: bool) -> State:
    if dry and not os.path.lexists(path):
        return "to write"
    if not dry and _write_new(path, ours):
        return "written"
    found = path.read_bytes()
    if found == ours:
        return "there"
    if MADE in found and MADE in ours and not path.is_symlink():
        if not dry:
            tree.write_whole(path, ours)
        return "to write" if dry else "written"
    return "yours" if _serves(path, found) else "differs"


def _serves(path: Path, found: bytes) -> bool:
    """Return True if FOUND, the content of PATH, is usable as it is: it is meant for editing, or has our import."""
    text = found.decode(errors="replace")
    if path.name in IMPORTS:
        return any(line.startswith(IMPORTS[path.name]) for line in text.splitlines())
    return path.name in {"deploy.toml", "selfdeploy.txt"}


def _write_new(path: Path, data: bytes) -> bool:
    """Write DATA to PATH, whole, unless the name exists; return True if it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as scratch:
        scratch.write(data)
        scratch.flush()
        os.fchmod(scratch.fileno(), 0o644)
        with contextlib.suppress(FileExistsError):
            os.link(scratch.name, path)
            return True
    return False


def _ignore(path: Path, *, dry: bool) -> State:
    """Add the missing entries of IGNORED to PATH, a .gitignore, and keep its content."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    known = {line.strip().strip("/") for line in text.splitlines()}
    missing = [name for name in IGNORED if name.strip("/") not in known]
    if not missing:
        return "there"
    if dry:
        return "to write"
    start = f"{text.rstrip()}\n\n" if text.strip() else ""
    text = f"{start}# selfdeploy's\n{chr(10).join(missing)}\n"
    tree.write_whole(path, text.encode(errors="surrogateescape"))
    return "written"
