"""The outline of a revision: its size, and its entries besides plain files, from one listing of git."""

import re
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors
from selfdeploy.source import git

GITLINK = b"160000"
"""The mode of an entry that names a commit of another repository (gitdatamodel)."""

POINTER = b"version https://git-lfs.github.com/spec/v1"
"""The first bytes of a Git LFS pointer, a file of less than `SMALL` bytes (git-lfs, docs/spec.md)."""

SMALL = 1024

ENTRY = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]+) +([0-9]+|-)\t(.+)", re.DOTALL)
"""A line of `git ls-tree -l -z`: mode, kind, id, bytes of a file, path."""


@dataclass(frozen=True, kw_only=True)
class Submodule:
    """A folder that is a commit of another repository, named in `.gitmodules`."""

    path: str
    commit: str
    top: Path
    inside: str
    """Its path from the TOP of the checkout."""

    @property
    def folder(self) -> Path:
        """The folder of its clone in the checkout, once it is initialized."""
        return self.top / self.inside

    def tree(self, within: str = "") -> str:
        """Return the tree of its commit; errors give its path below WITHIN.

        Raises:
            errors.SourceUnusable: its clone is missing, or does not have the commit.
        """
        # Without a path, one entry missing from .gitmodules would make git fail for all of them.
        hint = f"git -C {self.top} submodule update --init --recursive -- {self.inside}"
        top = git.run(self.folder, "rev-parse", "--show-toplevel") if self.folder.is_dir() else None
        if top is None or top.code or Path(top.text).resolve() != self.folder.resolve():
            raise errors.SourceUnusable(f"{within}{self.path}: a submodule that is not initialized", hint)
        found = git.run(self.folder, "rev-parse", "--verify", "--quiet", f"{self.commit}^{{tree}}")
        if found.code:
            raise errors.SourceUnusable(f"{within}{self.path}: its clone does not have {self.commit}", hint)
        return found.text


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The FILES of a revision and their bytes (SIZE), its SUBMODULES, and the LFS POINTERS that stay in a checkout.

    EMPTY are the folders for commits of no known repository: a clone has them empty.
    """

    files: int
    size: int
    empty: tuple[str, ...]
    submodules: tuple[Submodule, ...]
    pointers: tuple[str, ...]

    def refuse(self, submodules: str, within: str = "") -> None:
        """Raise `errors.SourceUnusable` if an export cannot hold an entry; SUBMODULES is `refuse` or `checkout`.

        The submodules' own entries are checked too. WITHIN is the path of this outline's submodule, for errors.
        """
        if self.submodules and submodules == "refuse":
            raise errors.SourceUnusable(
                f"{', '.join(within + module.path for module in self.submodules)}: a submodule",
                'set source.submodules = "checkout" to export its files, or commit them here',
            )
        if self.pointers:
            named = ", ".join(within + path for path in self.pointers)
            raise errors.SourceUnusable(f"{named}: an LFS pointer", "commit the file itself")
        for module in self.submodules:
            inner = read(module.folder, module.tree(within), ".", module.commit)
            inner.refuse(submodules, f"{within}{module.path}/")


def read(checkout: Path, tree: str, path: str, modules: str) -> Outline:
    """Return the outline of TREE, the folder PATH of a repository with CHECKOUT; MODULES is its top's tree or commit.

    Raises:
        errors.SourceUnusable: git cannot read it.
    """
    files, size, links, small = 0, 0, dict[str, str](), dict[str, str]()
    for line in filter(None, _ask(checkout, "ls-tree", "-r", "-l", "-z", "--full-tree", tree).split(b"\0")):
        entry = ENTRY.fullmatch(line)
        if entry is None:
            raise errors.SourceUnusable(
                f"{checkout}: git lists no tree: {line[:60]!a}", "git fsck finds what is damaged"
            )
        mode, digest, length, name = entry[1], entry[2], entry[3], entry[4].decode("utf-8", "surrogateescape")
        if mode == GITLINK:
            links[name] = digest.decode()
            continue
        files, size = files + 1, size + int(length)
        if len(POINTER) < int(length) < SMALL and mode.startswith(b"100"):
            small[name] = digest.decode()
    known = _submodules(checkout, modules) if links else frozenset()
    inside = {name: name if path == "." else f"{path}/{name}" for name in links}
    top = Path(_ask(checkout, "rev-parse", "--show-toplevel").decode(errors="surrogateescape").rstrip("\n"))
    return Outline(
        files=files,
        size=size,
        empty=tuple(name for name in links if inside[name] not in known),
        submodules=tuple(
            Submodule(path=name, commit=commit, top=top, inside=inside[name])
            for name, commit in links.items()
            if inside[name] in known
        ),
        pointers=() if _fetches_large(checkout) else tuple(_pointers(checkout, small)),
    )


def _ask(checkout: Path, *argv: str, stdin: bytes | None = None) -> bytes:
    outcome = git.run(checkout, *argv, stdin=stdin)
    if outcome.code:
        why = outcome.complaint or f"exit code {outcome.code}"
        raise errors.SourceUnusable(f"{checkout}: git {argv[0]}: {why}", "git fsck finds what is damaged")
    return outcome.stdout


def _submodules(checkout: Path, tree: str) -> frozenset[str]:
    """Return the paths of the submodules in the .gitmodules of TREE."""
    argv = ("config", "-z", "--blob", f"{tree}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    listed = git.run(checkout, *argv).stdout.split(b"\0")  # without the file there is none
    paths = (entry.partition(b"\n")[2].decode("utf-8", "surrogateescape") for entry in listed if entry)
    return frozenset(path.rstrip("/") for path in paths)


def _fetches_large(checkout: Path) -> bool:
    """Return True if git replaces LFS pointers in a checkout (git-lfs install)."""
    return git.run(checkout, "config", "--get-regexp", r"^filter\.lfs\.(smudge|process)$").code == 0


def _pointers(checkout: Path, files: dict[str, str]) -> list[str]:
    """Return the names in FILES, a mapping to the ids of their contents, that are Git LFS pointers."""
    ids = "".join(f"{digest}\n" for digest in dict.fromkeys(files.values()))
    stream = _ask(checkout, "cat-file", "--batch", stdin=ids.encode()) if ids else b""
    found, at = set[str](), 0
    while (end := stream.find(b"\n", at)) > 0:
        digest, *words = stream[at:end].decode(errors="replace").split() or [""]
        at = end + 1
        if len(words) == 2 and words[1].isdecimal():  # noqa: PLR2004 -- ID TYPE SIZE; else `ID missing`
            if stream.startswith(POINTER, at):
                found.add(digest)
            at += int(words[1]) + 1
    return [name for name, digest in files.items() if digest in found]
