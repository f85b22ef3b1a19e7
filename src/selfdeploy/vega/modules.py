"""The submodules in a build of the live checkout, each a repository with its own ignore rules."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from selfdeploy import errors
from selfdeploy.source import git


def find(checkout: Path) -> dict[str, Path]:
    """Return the submodule clones in CHECKOUT, nested ones included, by path relative to it."""
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
    """Raise `errors.CheckoutDirty` if a submodule of CHECKOUT has changes, since a build uses its commit."""
    for path, folder in find(checkout).items():
        status = _ask(folder, "status", "--porcelain", "--untracked-files=all", "--ignore-submodules=all")
        if lines := status.decode(errors="replace").splitlines():
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            raise errors.CheckoutDirty(
                f"{checkout}: {path}: changes in a submodule, which no build has: {lines[0][3:]}{more}",
                f"commit them in {folder}",
            )


def tracked(modules: Mapping[str, Path]) -> frozenset[str]:
    """Return the tracked paths in MODULES, relative to the checkout."""
    return frozenset(
        f"{path}/{os.fsdecode(name)}"
        for path, folder in modules.items()
        for listing in (("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD"), ("ls-files", "-z", "--cached"))
        for name in _ask(folder, *listing).split(b"\0")
        if name and f"{path}/{os.fsdecode(name)}" not in modules
    )


def sort(modules: Mapping[str, Path], names: Iterable[str]) -> dict[str, list[str]]:
    """Group NAMES by their innermost module, relative to it; the empty path stands for no module."""
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
