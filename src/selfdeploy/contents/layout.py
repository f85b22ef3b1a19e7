"""The layout of an image's files in one pass: hard links to files without another name, relative symbolic links."""

import contextlib
import os
import posixpath
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import errors
from selfdeploy.contents import links, patterns
from selfdeploy.contents.patterns import Paths


@dataclass(kw_only=True)
class Plan:
    """The shipped files and links below EXPORT, the rewritten targets of links, and notes for the evidence."""

    export: Path
    paths: Paths = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _folders: set[str] = field(default_factory=lambda: {""})

    def add(self, paths: Mapping[str, bool] | Iterable[tuple[str, bool]]) -> list[str]:
        """Add PATHS to the plan, and return the new ones; for a path behind a link, add the link instead."""
        new = []
        for path, is_link in dict(paths).items():
            if posixpath.dirname(path) not in self._folders:
                link = self._add_folders(posixpath.dirname(path))
                path, is_link = (link, True) if link else (path, is_link)  # noqa: PLW2901
            if path not in self.paths:
                self.paths[path] = is_link
                new.append(path)
        return new

    def _add_folders(self, folder: str) -> str:
        """Add FOLDER and its parents; if one of them is a link, add none and return the link."""
        parts = folder.split("/")
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        for name in above:
            if name not in self._folders and (self.export / name).is_symlink():
                return name
        self._folders.update(above)
        return ""

    def ships(self, path: str) -> bool:
        """Return True if a file, link or folder at PATH ships."""
        return path in self.paths or path in self._folders

    def settle_links(self) -> None:
        """Make absolute links relative, and add the targets of all links.

        Raises:
            errors.TreeChanged: links lead out of the tree, or nowhere; the message names up to `links.SHOWN` of each.
        """
        queue = [path for path, is_link in self.paths.items() if is_link]
        outward, nowhere = [], []
        while queue:
            path = queue.pop()
            target = links.target(self.export, path)
            if target is None and links.is_of_node_gyp(path):
                del self.paths[path]
                self.notes.append(f"{path}: left out, node-gyp's link to the machine's own Python")
            elif target is None:
                outward.append(path)
            elif not (self.export / path).exists():
                nowhere.append(path)
            else:
                self._rewrite(path, target)
                queue += self._add_target(path, target)
        refused = [
            links.describe(self.export, sorted(paths), what)
            for paths, what in ((outward, "leads out of the tree"), (nowhere, "leads nowhere"))
            if paths
        ]
        if refused:
            raise errors.TreeChanged("\n".join(refused), "have the gates copy the files themselves, or drop the links")

    def _rewrite(self, path: str, target: str) -> None:
        if (given := str((self.export / path).readlink())).startswith("/"):
            self.targets[path] = links.relative(path, target)
            self.notes.append(f"{path}: a link to {given}, ships as a link to {self.targets[path]}")

    def _add_target(self, path: str, target: str) -> list[str]:
        """Add TARGET of the link PATH unless it ships already; return the new links."""
        if self.ships(target):
            return []
        is_package = (self.export / target / "package.json").exists()
        new = self.add(patterns.walk(self.export, target, {"node_modules"} if is_package else ()))
        if not new and (self.export / target).is_dir():
            self._add_folders(target)
        self.notes.append(f"{target}: ships, since {path} links to it")
        return [path for path in new if self.paths[path]]

    def add_programs(self, folders: Iterable[str]) -> None:
        """Add the entries of FOLDERS (node_modules/.bin), except links to files that do not ship."""
        for folder in folders:
            for path, is_link in list(patterns.walk(self.export, folder)):
                target = links.target(self.export, path) if is_link else ""
                if is_link and (target is None or target not in self.paths):
                    continue
                if target:
                    self._rewrite(path, target)
                self.add({path: is_link})

    def lay_out(self, ship: Path) -> None:
        """Write the planned files below the new folder SHIP."""
        ship.mkdir(parents=True)
        exported, shipped = str(self.export), str(ship)
        for folder in sorted(self._folders - {""}):
            (ship / folder).mkdir()
        for path, is_link in self.paths.items():
            source, to = f"{exported}/{path}", f"{shipped}/{path}"
            if is_link:
                Path(to).symlink_to(self.targets.get(path) or Path(source).readlink())
            else:
                _link(source, to)


def _link(source: str, to: str) -> None:
    """Hard-link SOURCE at TO, or copy it if it has another name already: the export is deleted soon."""
    if os.lstat(source).st_nlink == 1:
        with contextlib.suppress(OSError):
            os.link(source, to)
            return
    shutil.copy2(source, to)
