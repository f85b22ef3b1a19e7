"""A release on record in its registry: the record, its manifest and its image, which have to agree."""

from selfdeploy import errors, manifest, registry
from selfdeploy.build import inspection, protection
from selfdeploy.registry import refusal


def read(store: registry.Registry, repository: str, name: str) -> tuple[manifest.Manifest, registry.Record] | None:
    """Return the release recorded in STORE's REPOSITORY for NAME, a revision or image digest; None if there is none.

    Raises:
        errors.ImageGone: the record or the image is incomplete.
        errors.RecordInvalid, errors.ManifestInvalid, errors.ImageMismatch: record, manifest and image do not agree.
    """
    tag = protection.find(store, name) if name.startswith("sha256:") else name
    record = store.find_record(tag) if tag else None
    if record is None:
        return None
    where = f"{repository}:{tag}"
    parsed = manifest.parse(record.manifest, where)
    told = {parsed.image.digest, parsed.source.revision}
    if parsed.image.digest != record.subject.digest or name not in told:
        raise errors.RecordInvalid(
            f"{where}: expected a record of {name}, actual of {' and '.join(sorted(told))}, "
            f"beside {record.subject.digest}",
            "somebody else wrote it; build the release again: inv release --fresh",
        )
    image = store.image(parsed.image.digest)
    if image is None:
        raise errors.ImageGone(f"{parsed.image.reference}: the registry does not have it", refusal.AGAIN)
    _check(store, repository, parsed, image, where)
    return parsed, record


def _check(
    store: registry.Registry, repository: str, parsed: manifest.Manifest, image: registry.Image, where: str
) -> None:
    children = {name: (child.digest, child.config) for name, child in image.platforms.items()}
    named = {name: (child.digest, child.config) for name, child in parsed.image.platforms.items()}
    if parsed.image.repository != repository or children != named:
        raise errors.RecordInvalid(
            f"{where}: its image is not the registry's: expected {named}, actual {children}",
            "build the release again: inv release --fresh",
        )
    for platform, child in image.platforms.items():
        expected = {inspection.REVISION: parsed.source.revision}
        inspection.check_labels(platform, inspection.read_labels(store, child), expected)
