"""npm's answers about a tree: its packages without use in production, and the files that a package publishes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdeploy import errors, process

TIMEOUT = 300.0
"""Seconds for one answer."""

ALONE = ("--offline", "--ignore-scripts", "--loglevel=error")
"""npm's options to run no scripts and to use only its cache."""

QUIET = (*ALONE, "--json", "--dry-run")
"""The same, and npm's options to change nothing and to print JSON."""


@dataclass(frozen=True, kw_only=True)
class Npm:
    """The npm of the gates, with the environment of a gate."""

    environment: Mapping[str, str]

    def list_removed(self, export: Path) -> frozenset[str]:
        """Return the locations that `npm prune --omit=dev` would remove from EXPORT; EXPORT does not change.

        Raises:
            errors.SourceUnusable: npm cannot read the tree or its lock file.
        """
        if not (export / "node_modules").is_dir():
            return frozenset()
        listing = self._ask(["npm", "prune", "--omit=dev", *QUIET], export)
        removed = listing.get("remove", []) if isinstance(listing, dict) else None
        if not isinstance(removed, list):
            raise errors.SourceUnusable("npm prune --omit=dev: unexpected output", "set gates.node to another version")
        roots = {f"{export}/", f"{export.resolve()}/"}
        paths = [str(package.get("path", "")) for package in removed if isinstance(package, dict)]
        return frozenset(path.removeprefix(root) for path in paths for root in roots if path.startswith(root))

    def prune(self, folder: Path) -> None:
        """Remove from FOLDER the packages that production does not need.

        Raises:
            errors.SourceUnusable: npm cannot read the tree or its lock file.
        """
        self._run(["npm", "prune", "--omit=dev", "--no-bin-links", *ALONE], folder)

    def list_blocked(self, folder: Path) -> list[str]:
        """Return the packages installed in FOLDER whose install scripts npm 12 did not run.

        Empty for an older npm, which runs all of them, for another installer, and if npm is set to ignore scripts.

        Raises:
            errors.SourceUnusable: npm cannot read the tree.
        """
        if not (folder / "node_modules" / ".package-lock.json").is_file():
            return []
        argv = ["npm", "install-scripts", "ls", "--json", "--offline", "--loglevel=error"]
        outcome = process.run(argv, timeout=TIMEOUT, cwd=folder, env=self.environment, check=False)
        if outcome.code and "EUNKNOWNCOMMAND" in outcome.text + outcome.complaint:
            return []
        listing = parse("npm install-scripts ls", _output(argv, outcome))
        try:
            found = sorted(str(package["name"]) for package in listing["allowScripts"])
        except (TypeError, KeyError) as exc:
            raise errors.SourceUnusable("npm install-scripts ls: unexpected output", "set gates.node") from exc
        if found and self._run(["npm", "config", "get", "ignore-scripts"], folder).strip() == "true":
            return []
        return found

    def list_components(self, root: Path) -> Any:  # noqa: ANN401 -- any JSON
        """Return `npm sbom` of the packages installed in ROOT (CycloneDX 1.5).

        Raises:
            errors.SourceUnusable: npm cannot list them, or is older than 10.
        """
        argv = ["npm", "sbom", "--sbom-format=cyclonedx", "--prefix=.", *ALONE]
        return self._ask([*argv, *(f"--include={kind}" for kind in ("dev", "optional", "peer"))], root)

    def list_packed(self, parent: Path, folders: Sequence[str]) -> dict[str, list[str]]:
        """Return the files that `npm pack` puts into the package of each of FOLDERS below PARENT.

        The package.json in each folder has to give the folder as the package's name.

        Raises:
            errors.SourceUnusable: npm refuses a package.json.
        """
        if not folders:
            return {}
        listing = self._ask(["npm", "pack", *(f"./{folder}" for folder in folders), *QUIET], parent)
        packages = listing.values() if isinstance(listing, dict) else listing
        try:
            return {package["name"]: [str(file["path"]) for file in package["files"]] for package in packages}
        except (TypeError, KeyError) as exc:
            raise errors.SourceUnusable("npm pack: unexpected output", "set gates.node to another version") from exc

    def _ask(self, argv: Sequence[str], folder: Path) -> Any:  # noqa: ANN401 -- any JSON
        return parse(" ".join(argv[:3]), self._run(argv, folder))

    def _run(self, argv: Sequence[str], folder: Path) -> str:
        outcome = process.run(argv, timeout=TIMEOUT, cwd=folder, env=self.environment, check=False)
        return _output(argv, outcome)


def _output(argv: Sequence[str], outcome: process.Outcome) -> str:
    """Return the output of ARGV.

    Raises:
        errors.SourceUnusable: it failed.
    """
    if outcome.code:
        raise errors.SourceUnusable(
            f"{' '.join(argv[:3])}: exit code {outcome.code}\n{outcome.complaint}",
            "fix package.json or its lock file and run the command again",
        )
    return outcome.text


def parse(command: str, text: str) -> Any:  # noqa: ANN401 -- any JSON
    """Return the JSON value in TEXT, the output of COMMAND; skip the lines that a dry run prints before it."""
    start = re.search(r"^[\[{]$|^[\[{]", text, re.MULTILINE)
    try:
        return json.loads(text[start.start() :] if start else text)
    except (ValueError, RecursionError) as exc:
        raise errors.SourceUnusable(f"{command}: unexpected output: {text[:200]!a}", "set gates.node") from exc
