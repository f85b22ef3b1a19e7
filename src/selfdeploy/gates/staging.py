"""Staging: lay out, check, hash and once start the image's files, from the export that passed its gates."""

import concurrent.futures
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping

from selfdeploy import config, contents, errors, manifest, source, tree
from selfdeploy.gates.room import Room


def stage(
    project: config.Project,
    revision: source.Revision,
    place: Room,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
) -> tuple[str, dict[str, object]]:
    """Lay out the shipped files of PLACE; return their digest and their facts for the receipt.

    TELL receives lines of progress.

    Raises:
        errors.TreeChanged, errors.SourceUnusable, errors.ContentsIncomplete: as `contents.stage` does.
        errors.StartFailed: the server does not start from the shipped files.
    """
    npm = contents.Npm(environment=environment)
    staged = contents.stage(place.export, place.ship, npm=npm, include=project.image.include, epoch=revision.epoch)
    tell(f"hashing {staged.files:,} files")
    of = manifest.Source(
        repository=revision.repository, revision=revision.commit, path=revision.path, tree=revision.tree
    )
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        packages = beside.submit(_list_packages, place, npm, tell)
        digest = tree.digest(place.ship)
        smoke = contents.start(
            place.ship,
            environment=environment,
            variables=project.tried,
            scratch=place.folder,
            log=place.log("smoke"),
            seconds=project.gates.smoke,
            manifest=manifest.stand_in(of).bytes,
        )
    passed = f"passed in {smoke['seconds']} s" if smoke["started"] else f"not run: {smoke['why']}"
    tell(f"smoke {passed}")
    return digest, {**dataclasses.asdict(staged), "smoke": smoke, "sbom": packages.result()}


def _list_packages(place: Room, npm: contents.Npm, tell: Callable[[str], None]) -> dict[str, object]:
    """Write the npm packages that ship, for the SBOM; return the file's facts, or why npm does not list them."""
    try:
        listed = contents.list_packages(place.ship, npm, place.folder)
    except (errors.SourceUnusable, errors.CommandTimedOut) as exc:
        place.packages.unlink(missing_ok=True)
        tell(f"no SBOM: {exc.message}")
        return {"why": exc.message[:500]}
    data = json.dumps(listed, sort_keys=True).encode()
    tree.write_whole(place.packages, data)
    return {"npm": len(listed["components"]), "sha256": hashlib.sha256(data).hexdigest()}
