"""What a repository that holds SF has to have before it can be released: written where missing, never over another."""

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
"""Each file of the repository, and which of those that come with us it is."""

MADE = b'"title": "deploy.toml of selfdeploy"'
"""What a schema has in it that an earlier version of ours wrote: nobody changes it, and it is written anew."""

IMPORTS = {"tasks.py": "from selfdeploy.tasks import", "noxfile.py": "from selfdeploy.sessions import"}
"""By which a file that has more in it than ours does all the same what ours does."""

IGNORED = (".selfdeploy/", ".nox/", ".venv/", "__pycache__/", "dist/", "node_modules/")
"""What git must not see: a release takes no checkout with changes that no revision names."""


State = Literal["written", "to write", "there", "yours", "differs"]
"""What became of a file, or would, with `to write`."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of the repository, and what became of it."""

    name: str
    state: State
    ours: Path

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.state:<9} {self.name}"


def write(root: Path, *, dry: bool = False) -> list[File]:
    """Write what ROOT, the top of a git work tree, lacks, and return each file and what became of it.

    A file that is there stays as it is: `yours` when it serves, `differs` when it is another than ours. When DRY,
    nothing is written.
    """
    made = []
    for name, template in FILES.items():
        ours = shipped.own(template)
        made.append(File(name=name, state=_settle(root / name, ours.read_bytes(), dry=dry), ours=ours))
    ours = shipped.own("templates/repository/deploy.toml").parent
    return [*made, File(name=".gitignore", state=_ignore(root / ".gitignore", dry=dry), ours=ours)]


def refuse_others(files: Sequence[File]) -> None:
    """Raise `errors.FileDiffers`, which names them, when there are FILES that differ from ours."""
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
    """Say whether FOUND, which PATH has, is of use as it is: it is there to be changed, or has our import in it."""
    text = found.decode(errors="replace")
    if path.name in IMPORTS:
        return any(line.startswith(IMPORTS[path.name]) for line in text.splitlines())
    return path.name in {"deploy.toml", "selfdeploy.txt"}


def _write_new(path: Path, data: bytes) -> bool:
    """Write DATA to PATH, whole, unless there is anything of that name; say whether it was written."""
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
    """Have PATH, a .gitignore, name all of IGNORED; what is in it stays."""
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
