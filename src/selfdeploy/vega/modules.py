"""The submodules of a live checkout whose files a build has: each is a repository of its own, with its own rules."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from selfdeploy import errors, git


def find(checkout: Path) -> dict[str, Path]:
    """Return the clones of submodules in CHECKOUT, and of those in them, by their path in it."""
    top = Path(os.fsdecode(_ask(checkout, "rev-parse", "--show-toplevel").removesuffix(b"\n")))
    if not (top / ".gitmodules").is_file():
        return {}
    argv = ("config", "-z", "--file", str(top / ".gitmodules"), "--get-regexp", r"^submodule\..*\.path$")
    named = (os.fsdecode(entry.partition(b"\n")[2]) for entry in git.run(top, *argv).stdout.split(b"\0") if entry)
    here, found = checkout.resolve(), dict[str, Path]()
    for name in named:
        folder = (top / name).resolve()
        if folder != here and folder.is_relative_to(here) and (folder / ".git").exists():
            path = folder.relative_to(here).as_posix()
            found[path] = folder
            found |= {f"{path}/{inner}": deeper for inner, deeper in find(folder).items()}
    return found


def refuse_changed(checkout: Path) -> None:
    """Raise `errors.CheckoutDirty` for a submodule of CHECKOUT with changes: a build has the files of its commit."""
    for path, folder in find(checkout).items():
        status = _ask(folder, "status", "--porcelain", "--untracked-files=all", "--ignore-submodules=all")
        if lines := status.decode(errors="replace").splitlines():
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            raise errors.CheckoutDirty(
                f"{checkout}: {path}: changes in a submodule, which no build has: {lines[0][3:]}{more}",
                f"commit them in {folder}",
            )


def tracked(modules: Mapping[str, Path]) -> frozenset[str]:
    """Return the paths that git tracks in MODULES, from the top of the checkout."""
    return frozenset(
        f"{path}/{os.fsdecode(name)}"
        for path, folder in modules.items()
        for listing in (("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD"), ("ls-files", "-z", "--cached"))
        for name in _ask(folder, *listing).split(b"\0")
        if name and f"{path}/{os.fsdecode(name)}" not in modules
    )


def sort(modules: Mapping[str, Path], names: Iterable[str]) -> dict[str, list[str]]:
    """Return NAMES by the innermost of MODULES that each lies in, relative to it; the empty path is none of them."""
    found: dict[str, list[str]] = {}
    for name in names:
        inside = max((path for path in ("", *modules) if not path or name.startswith(f"{path}/")), key=len)
        found.setdefault(inside, []).append(name[len(inside) + 1 :] if inside else name)
    return found


def _ask(folder: Path, *argv: str) -> bytes:
    outcome = git.run(folder, *argv, timeout=300)
    if outcome.code:
        why = outcome.complaint or f"git {argv[0]}: exit code {outcome.code}"
        raise errors.SourceUnusable(f"{folder}: {why}", "fix the checkout and run the command again")
    return outcome.stdout
