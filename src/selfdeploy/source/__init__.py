"""The SF checkout: its revision, its tree, its uncommitted changes, and an export of it to work in."""

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from selfdeploy import errors, process, tree
from selfdeploy.source import git
from selfdeploy.source import outline as _outline
from selfdeploy.source.outline import POINTER, SMALL, Outline, Submodule

ADDRESS = re.compile(
    r"""(?x)
    (?: https?://(?:[^/@]*@)? (?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?) /
      | (?P<ssh>ssh://)? (?:[^/@:]*@)? (?P<name>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+) (?(ssh)(?::[0-9]+)?/|:)
    ) (?P<path>[^/@?\#\s][^@?\#\s]*?) (?:\.git)?/?
    """
)
"""A repository's address in git's forms (git-clone, GIT URLS): http, ssh or short, on a host whose name has a dot."""

COMMIT = re.compile("[0-9a-f]{40}")
"""The full id of a commit, a tree or a file in git."""

COMMITTER = re.compile(rb"^committer .*> ([0-9]{1,12}) [+-][0-9]+$", re.MULTILINE)
"""The header of a commit with its time, in seconds since 1970 (git-commit-tree, DATE FORMATS)."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One commit, and SF's folder in it."""

    checkout: Path
    commit: str
    tree: str
    path: str
    repository: str
    epoch: int
    live: bool = False
    """True if `tree` is the checkout's files as they are, and not the commit's."""
    submodules: Literal["refuse", "checkout"] = "refuse"
    """How an export treats submodules."""


def _git(folder: Path, *argv: str, check: bool = True, **given: Any) -> process.Outcome:  # noqa: ANN401 -- git.run's
    outcome = git.run(folder, *argv, **given)
    if check and outcome.code:
        why = outcome.complaint or f"git {argv[0]}: exit code {outcome.code}"
        raise errors.SourceUnusable(f"{folder}: {why}", "name SF's git checkout: --source")
    return outcome


def read(checkout: Path, repository: str = "", submodules: Literal["refuse", "checkout"] = "refuse") -> Revision:
    """Return HEAD of CHECKOUT, a git work tree or a folder in one; SUBMODULES applies to its exports.

    Raises:
        errors.SourceUnusable: no folder, no git checkout, no commit, or HEAD does not have the folder.
    """
    if not checkout.is_dir():
        raise errors.SourceUnusable(f"{checkout}: no such folder", "name SF's git checkout: --source")
    commit = _git(checkout, "rev-parse", "--verify", "HEAD^{commit}").text
    prefix = _git(checkout, "rev-parse", "--show-prefix").text.rstrip("/")
    tree = _git(checkout, "rev-parse", f"HEAD:{prefix}" if prefix else "HEAD^{tree}").text
    found = COMMITTER.search(_git(checkout, "cat-file", "commit", commit).stdout.partition(b"\n\n")[0])
    if not found or not all(COMMIT.fullmatch(name) for name in (commit, tree)):
        raise errors.SourceUnusable(f"{checkout}: git tells no commit of it", "git fsck; a commit is 40 digits here")
    epoch = int(found[1])
    return Revision(
        checkout=checkout,
        commit=commit,
        tree=tree,
        path=prefix or ".",
        repository=repository or _origin(checkout),
        epoch=epoch,
        submodules=submodules,
    )


def refuse_below(folder: Path) -> None:
    """Raise `errors.SourceUnusable` unless FOLDER is the top of a git work tree."""
    told = _git(folder, "rev-parse", "--show-toplevel", check=False)
    if told.code:
        raise errors.SourceUnusable(f"{folder}: {told.complaint}", "go to the top of SF's checkout, or git init")
    top = Path(told.text)
    if not (top.exists() and top.samefile(folder)):
        raise errors.SourceUnusable(f"{folder}: not the top of its git checkout", f"cd {top}")


def _origin(checkout: Path) -> str:
    return name_repository(_git(checkout, "config", "--get", "remote.origin.url", check=False).text)


def name_repository(address: str) -> str:
    """Return the public name of the repository at git's ADDRESS, without a login; `local` if it has none."""
    match = ADDRESS.fullmatch(address)
    return f"https://{match['host'] or match['name']}/{match['path']}" if match else "local"


def refuse_dirty(revision: Revision) -> None:
    """Raise `errors.CheckoutDirty`, which names the files, if the folder differs from its revision."""
    # A submodule's own settings may hide its changes.
    shown = ("--untracked-files=all", "--ignore-submodules=none")
    status = _git(revision.checkout, "status", "--porcelain", *shown, "--", ".").text
    if status:
        lines = status.splitlines()
        more = f"\n  and {len(lines) - 10} more" if len(lines) > 10 else ""  # noqa: PLR2004 -- a screenful
        listed = "".join(f"\n  {line}" for line in lines[:10])
        raise errors.CheckoutDirty(
            f"{revision.checkout}: uncommitted changes:{listed}{more}", "commit, stash or ignore them"
        )


def uncommitted(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the files among NAMES, files and folders in FOLDER, that differ from its git checkout's HEAD; sorted.

    Empty if FOLDER is not in a git checkout, or is ignored by it.
    """
    argv = ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", *names]
    told = _git(folder, *argv, check=False)
    listed = told.stdout.split(b"\0") if told.code == 0 else []
    return sorted(os.fsdecode(entry[3:]) for entry in listed if entry)


def outline(revision: Revision) -> Outline:
    """Return the outline of REVISION: its size, and its entries besides plain files."""
    modules = revision.tree if revision.live and revision.path == "." else revision.commit
    return _outline.read(revision.checkout, revision.tree, revision.path, modules)


def export(revision: Revision, to: Path) -> Outline:
    """Write the files of REVISION below TO, as a checkout would, `export-ignore` paths included; return its outline.

    Raises:
        errors.SourceUnusable: the folder holds an LFS pointer, or a submodule while REVISION refuses them.
    """
    found = outline(revision)
    found.refuse(revision.submodules)
    to.mkdir(parents=True, exist_ok=True)
    with tree.scratch(to.parent, "index") as scratch:
        _check_out(revision, scratch).rename(to)
    for name in found.empty:
        (to / name).mkdir(parents=True, exist_ok=True)
    for module in found.submodules:
        export(enter(revision, module), to / module.path)
    for file in to.rglob("*"):  # git may have replaced pointers, or failed to
        if file.is_file() and not file.is_symlink() and file.stat().st_size < SMALL:
            with file.open("rb") as opened:
                if opened.read(len(POINTER)) == POINTER:
                    raise errors.SourceUnusable(f"{file.relative_to(to)}: an LFS pointer", "commit the file itself")
    return found


def enter(revision: Revision, module: Submodule, within: str = "") -> Revision:
    """Return the submodule MODULE of REVISION as a revision; errors give its path below WITHIN.

    Raises:
        errors.SourceUnusable: its clone is missing, or does not have the commit.
    """
    inner = module.tree(within)
    return dataclasses.replace(revision, checkout=module.folder, commit=module.commit, tree=inner, path=".", live=False)


def _check_out(revision: Revision, scratch: Path) -> Path:
    """Check out the files of REVISION below SCRATCH, with our own git settings, and return their folder.

    The attributes in the folders above it count too. Nothing in the person's work tree does.
    """
    top = scratch / "top"
    top.mkdir()
    repository = os.fsdecode(_git(revision.checkout, "rev-parse", "--absolute-git-dir").stdout.removesuffix(b"\n"))
    place = (f"--git-dir={repository}", f"--work-tree={top}")
    variables = {"GIT_INDEX_FILE": str(scratch / "index"), "GIT_ATTR_NOSYSTEM": "1"}

    def ask(*argv: str) -> bytes:
        return _git(top, *place, *argv, settings=git.PLAIN, variables=variables).stdout

    inside = () if revision.path == "." else PurePosixPath(revision.path).parts
    for depth in range(len(inside)):
        name = "/".join((*inside[:depth], ".gitattributes"))
        listed = ask("ls-tree", "-z", "--full-tree", revision.commit, name)
        if entry := re.match(rb"(100[0-7]{3}) blob ([0-9a-f]{40})\t", listed):  # git does not read a linked one
            ask("update-index", "--add", "--cacheinfo", f"{entry[1].decode()},{entry[2].decode()},{name}")
    ask("read-tree", *([f"--prefix={'/'.join(inside)}/"] if inside else []), revision.tree)
    ask("checkout-index", "--all", "--force")
    made = top.joinpath(*inside)
    made.mkdir(parents=True, exist_ok=True)  # git creates nothing for an empty tree
    return made


def resolve(checkout: Path, name: str) -> str:
    """Return the commit that NAME (a branch, a tag, the beginning of a commit's id) stands for in CHECKOUT.

    Raises:
        errors.SourceUnusable: NAME does not stand for a commit.
    """
    told = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    if told.code or not COMMIT.fullmatch(told.text):
        why = told.complaint or f"there is no revision {name!r}"
        raise errors.SourceUnusable(f"{checkout}: {why}", "name a branch, a tag or a commit that it has; or git fetch")
    return told.text


def compare_revisions(checkout: Path, wanted: str, running: str) -> Literal["older", "newer", "unknown"]:
    """Return `older` if WANTED is an ancestor of RUNNING, else `newer`; `unknown` if CHECKOUT lacks history."""
    if wanted == running:
        return "newer"
    if _git(checkout, "cat-file", "-e", f"{running}^{{commit}}", check=False).code:
        return "unknown"
    code = _git(checkout, "merge-base", "--is-ancestor", wanted, running, check=False).code
    if code == 0:
        return "older"
    # In a shallow history, a missing path from one to the other proves nothing.
    whole = _git(checkout, "rev-parse", "--is-shallow-repository", check=False).text == "false"
    return "newer" if code == 1 and whole else "unknown"


def ask(revision: Revision, *argv: str, stdin: bytes | None = None) -> process.Outcome:
    """Run the git command ARGV, with STDIN, in the checkout of REVISION; return its outcome, whatever its exit code."""
    return _git(revision.checkout, *argv, stdin=stdin, check=False)
