"""The paths of a checkout that a build replaces: few, high in the tree, and never the person's own."""

import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import errors
from selfdeploy.vega.output import PACKAGES, Output, entries, folders


@dataclass(frozen=True, kw_only=True)
class Places:
    """REPLACED get the build's version; STALE, from an earlier build, go; KEPT are the person's `.env` files."""

    replaced: tuple[str, ...]
    stale: tuple[str, ...]
    kept: tuple[str, ...]


def choose(output: Output, export: Path, checkout: Path) -> Places:
    """Return the paths of CHECKOUT to replace with OUTPUT, built in EXPORT.

    A folder is one place if everything below it comes from this build or an earlier one. Otherwise the person's files
    in it stay, and the build's files go in beside them.

    Raises:
        errors.MountRefused: the person has a file or link in place of a folder of the build, or the reverse.
    """
    walk = _Walk(output=output, export=export, checkout=checkout)
    walk.visit("")
    return Places(replaced=tuple(walk.replaced), stale=tuple(walk.stale), kept=tuple(walk.kept))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


@dataclass(kw_only=True)
class _Walk:
    output: Output
    export: Path
    checkout: Path
    replaced: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = self.output.made
        self.above_made, self.above_tracked = folders(made), folders(self.output.tracked)
        # An entry of an earlier build may be a folder now, or the reverse: this build's shape counts.
        self.mine = made | {name for name in self.output.known if name not in self.above_made}
        self.may_go = made | self.output.known
        self.children: dict[str, set[str]] = defaultdict(set)
        for name in self.mine | folders(self.mine):
            self.children[name.rpartition("/")[0]].add(name)

    def visit(self, folder: str) -> None:
        """Choose the places below FOLDER."""
        for name in sorted(self.children[folder]):
            if name in self.output.made:
                self._entry(name)
            elif self._is_whole(name):
                (self.replaced if name in self.above_made else self.stale).append(name)
            elif name in self.mine:
                continue  # an earlier build's file is a folder of the person's now
            elif name in self.above_made and os.path.lexists(self.checkout / name) and not self._holds(name):
                raise self._refusal(name, "a folder")
            else:
                self.visit(name)

    def _entry(self, name: str) -> None:
        """Choose the place of NAME, a file, link or whole folder of the build."""
        base = name.rpartition("/")[2]
        if base == PACKAGES:
            self.replaced.append(name)
        elif _is_folder(self.export / name):  # an empty one
            if not os.path.lexists(self.checkout / name):
                self.replaced.append(name)
        elif self._holds(name) and not self._is_whole(name):
            raise self._refusal(name, "a file")
        elif (base == ".env" or base.startswith(".env.")) and os.path.lexists(self.checkout / name):
            self.kept.append(name)
        else:
            self.replaced.append(name)

    def _holds(self, name: str) -> bool:
        return _is_folder(self.checkout / name)

    def _is_whole(self, name: str) -> bool:
        """Return whether everything at NAME, in the checkout and the export, comes from builds."""
        if name in self.above_tracked or name in self.output.tracked:
            return False
        new = name not in self.above_made or all(entry in self.output.made for entry in entries(self.export, name))
        return new and all(entry in self.may_go for entry in entries(self.checkout, name))

    def _refusal(self, name: str, kind: str) -> errors.MountRefused:
        return errors.MountRefused(
            f"{self.checkout / name}: git ignores it, no build of ours made it, and the build makes {kind} there",
            "move it elsewhere, or change where the build writes",
        )
