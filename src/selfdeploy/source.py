"""The SF checkout: its revision, its tree, clean or not; and an export of it to work in."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfdeploy import errors, process, tree

ADDRESS = re.compile(
    r"""(?x)
    (?: https?://(?:[^/@]*@)? (?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?) /
      | (?P<ssh>ssh://)? (?:[^/@:]*@)? (?P<name>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+) (?(ssh)(?::[0-9]+)?/|:)
    ) (?P<path>[^/@?\#\s][^@?\#\s]*?) (?:\.git)?/?
    """
)
"""A repository's address as git takes it (git-clone, GIT URLS): http, ssh or short, on a host whose name has a dot."""

COMMIT = re.compile("[0-9a-f]{40}")
"""What git calls a commit, a tree or a file in full."""

LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""The variables by which git tells its children which repository they are in (`git rev-parse --local-env-vars`)."""

OBJECTS = "SELFDEPLOY_OBJECTS"
"""The variable that names further folders of git objects, as `GIT_ALTERNATE_OBJECT_DIRECTORIES` does."""

LFS = b"version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One commit, and the folder of it that is SF."""

    checkout: Path
    commit: str
    tree: str
    path: str
    repository: str
    epoch: int
    live: bool = False
    """Whether `tree` is the checkout's files as they are, and not the commit's."""


def _git(
    folder: Path, *argv: str, index: Path | None = None, stdin: bytes | None = None, check: bool = True
) -> process.Outcome:
    # A hook's variables name the repository it runs in, which need not be this one.
    env = {name: value for name, value in os.environ.items() if name not in LOCAL}
    env |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    env |= {"GIT_ALTERNATE_OBJECT_DIRECTORIES": os.environ[OBJECTS]} if OBJECTS in os.environ else {}
    if index:
        env["GIT_INDEX_FILE"] = str(index)
    outcome = process.run(["git", "-C", str(folder), *argv], timeout=120, env=env, stdin=stdin, check=False)
    if check and outcome.code:
        why = outcome.complaint or f"git {argv[0]}: exit code {outcome.code}"
        raise errors.SourceUnusable(f"{folder}: {why}", "name SF's git checkout: --source")
    return outcome


def read(checkout: Path, repository: str = "") -> Revision:
    """Return HEAD of CHECKOUT, a git work tree or a folder in one.

    Raises:
        errors.SourceUnusable: no folder, no git checkout, no commit, or HEAD has no such folder.
    """
    if not checkout.is_dir():
        raise errors.SourceUnusable(f"{checkout}: no such folder", "name SF's git checkout: --source")
    commit = _git(checkout, "rev-parse", "--verify", "HEAD^{commit}").text
    prefix = _git(checkout, "rev-parse", "--show-prefix").text.rstrip("/")
    tree = _git(checkout, "rev-parse", f"HEAD:{prefix}" if prefix else "HEAD^{tree}").text
    told = _git(checkout, "show", "-s", "--format=%ct", "HEAD").text
    if not re.fullmatch("[0-9]{1,12}", told) or not all(COMMIT.fullmatch(one) for one in (commit, tree)):
        raise errors.SourceUnusable(f"{checkout}: git tells no commit of it", "git fsck; a commit is 40 digits here")
    epoch = int(told)
    return Revision(
        checkout=checkout,
        commit=commit,
        tree=tree,
        path=prefix or ".",
        repository=repository or _origin(checkout),
        epoch=epoch,
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
    """Return the public name of the repository at git's ADDRESS, without a login; `local` when it has none."""
    match = ADDRESS.fullmatch(address)
    return f"https://{match['host'] or match['name']}/{match['path']}" if match else "local"


def refuse_dirty(revision: Revision) -> None:
    """Raise `errors.CheckoutDirty`, naming the files, when the folder differs from its revision."""
    status = _git(revision.checkout, "status", "--porcelain", "--untracked-files=all", "--", ".").text
    if status:
        lines = status.splitlines()
        more = f"\n  and {len(lines) - 10} more" if len(lines) > 10 else ""  # noqa: PLR2004 -- a screenful
        listed = "".join(f"\n  {line}" for line in lines[:10])
        raise errors.CheckoutDirty(
            f"{revision.checkout}: changes that no revision names:{listed}{more}", "commit, stash or ignore them"
        )


def export(revision: Revision, to: Path) -> None:
    """Write the files of REVISION below TO, as a checkout would, `export-ignore` paths included.

    Raises:
        errors.SourceUnusable: the folder holds a submodule or an LFS pointer, which an export cannot carry.
    """
    listed = _git(revision.checkout, "ls-tree", "-r", "-z", revision.tree).stdout.split(b"\0")
    for entry in filter(None, listed):
        mode, name = entry.partition(b" ")[0], entry.partition(b"\t")[2].decode(errors="replace")
        if mode == b"160000":
            raise errors.SourceUnusable(f"{revision.path}/{name}: a submodule", "vendor its files or drop it")
    to.mkdir(parents=True, exist_ok=True)
    with tree.scratch(to.parent, "index") as scratch:
        index = scratch / "index"
        top = Path(_git(revision.checkout, "rev-parse", "--show-toplevel").text)
        _git(top, "read-tree", revision.tree, index=index)
        _git(top, "checkout-index", "--all", "--force", f"--prefix={to}/", index=index)
    for file in to.rglob("*"):
        if file.is_file() and not file.is_symlink() and file.stat().st_size < 1024:  # noqa: PLR2004 -- LFS: "under 1024"
            with file.open("rb") as opened:
                if opened.read(len(LFS)) == LFS:
                    raise errors.SourceUnusable(f"{file.relative_to(to)}: an LFS pointer", "commit the file itself")


def resolve(checkout: Path, name: str) -> str:
    """Return the commit that NAME (a branch, a tag, the beginning of a commit's name) stands for in CHECKOUT.

    Raises:
        errors.SourceUnusable: it stands for none.
    """
    told = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    if told.code or not COMMIT.fullmatch(told.text):
        why = told.complaint or f"there is no revision {name!r}"
        raise errors.SourceUnusable(f"{checkout}: {why}", "name a branch, a tag or a commit that it has; or git fetch")
    return told.text


def compare_revisions(checkout: Path, wanted: str, running: str) -> Literal["older", "newer", "unknown"]:
    """Say whether WANTED is an ancestor of RUNNING (`older`) or not; `unknown` where CHECKOUT has not got it all."""
    if wanted == running:
        return "newer"
    if _git(checkout, "cat-file", "-e", f"{running}^{{commit}}", check=False).code:
        return "unknown"
    code = _git(checkout, "merge-base", "--is-ancestor", wanted, running, check=False).code
    if code == 0:
        return "older"
    # No path from one to the other means nothing where history ends early.
    whole = _git(checkout, "rev-parse", "--is-shallow-repository", check=False).text == "false"
    return "newer" if code == 1 and whole else "unknown"


def ask(revision: Revision, *argv: str, stdin: bytes | None = None) -> process.Outcome:
    """Return how the git command ARGV ended in the checkout of REVISION, whatever its exit code; STDIN is its input."""
    return _git(revision.checkout, *argv, stdin=stdin, check=False)
