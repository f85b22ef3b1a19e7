"""Staging: lay out, check, hash and once start the image's files, from the export that passed its gates."""

import dataclasses
from collections.abc import Callable, Mapping

from selfdeploy import config, contents, manifest, source, tree
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
    digest = tree.digest(place.ship)
    of = manifest.Source(
        repository=revision.repository, revision=revision.commit, path=revision.path, tree=revision.tree
    )
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
    return digest, {**dataclasses.asdict(staged), "smoke": smoke}
