"""Protection of a release's image and record from a clean-up of the registry: every manifest has a tag of its own.

A tag on an index does not protect the manifests in the index: `garbage-collect --delete-untagged` of distribution 2.8
deletes its images and leaves the index (findings/registry-gc-deletes-the-images-of-a-tagged-index.sh).
"""

import contextlib
import re

from selfdeploy import errors, manifest, registry
from selfdeploy.build import inspection
from selfdeploy.registry import artifact

PATIENCE = 10.0
"""Time-out of one request by `look`, in seconds; its caller can do without the answer."""
AGAIN = "inv release pushes it again, where a Docker engine has the very same image"
LISTED = 3
"""Number of tags to name in a message; the others are counted."""


def tag(digest: str) -> str:
    """Return the tag that protects the manifest DIGEST, of an image or of an index."""
    return f"kept-{digest.removeprefix('sha256:')}"


def record_tag(digest: str) -> str:
    """Return the tag that protects the release record of the image DIGEST if its revision's tag has another record."""
    return f"release-{digest.removeprefix('sha256:')}"


def keep(store: registry.Registry, image: manifest.Image) -> None:
    """Tag IMAGE, complete in STORE, and every manifest that it lists, unless they are tagged.

    Raises:
        errors.ImageGone: the image, or a part of it, is missing.
        errors.RegistryDenied, errors.PushRefused: the credentials, or the registry's rules, do not allow a new tag.
    """
    if absent := store.absent(image.digest):
        raise errors.ImageGone(
            f"{image.reference}: the registry no longer has {', '.join(absent)}",
            "release it again: inv release --fresh; nothing that this tool does deletes from a registry",
        )
    for found, data in store.family(image.digest):
        if store.digest(tag(found.digest)) != found.digest:
            store.put_manifest(data, found.media_type, tag(found.digest))


def protect(store: registry.Registry, release: manifest.Manifest) -> None:
    """Tag the image of RELEASE in STORE, and restore its record's revision tag; raises the errors of `keep`.

    The record is found by its other tag. A record without any tag stays lost, with its evidence.
    """
    keep(store, release.image)
    revision, name = release.source.revision, record_tag(release.image.digest)
    if not store.digest(revision) and _subject(store, name) == release.image.digest:
        record = store.find_record(name)
        if record is not None:
            store.put_record(record, revision)


def set_aside(store: registry.Registry, revision: str, digest: str) -> None:
    """Tag STORE's record under REVISION with a tag of its own, unless it is of the image DIGEST.

    The tag REVISION is about to move to another record.
    """
    subject = _subject(store, revision)
    if subject in {"", digest} or _subject(store, record_tag(subject)) == subject:
        return
    with contextlib.suppress(errors.ImageGone):  # an incomplete record is of no use
        record = store.find_record(revision)
        if record is not None:
            store.put_record(record, record_tag(record.subject.digest))


def find(store: registry.Registry, digest: str) -> str:
    """Return the tag in STORE of the release record of the image DIGEST; empty if there is none.

    It is the record's own tag, left by a later release of the same revision or by an earlier selfdeploy. Otherwise it
    is the revision in the image's labels.

    Raises:
        errors.ImageGone: neither such a tag nor the image exists.
    """
    name = record_tag(digest)
    if store.digest(name):
        return name
    image = store.image(digest)
    if image is None:
        raise errors.ImageGone(f"{store.reference}@{digest}: the registry does not have it", "inv release")
    labels = (inspection.read_labels(store, child).get(inspection.REVISION) for child in image.platforms.values())
    named = {str(revision) for revision in labels if re.fullmatch(r"[0-9a-f]{40}", str(revision))}
    return next((revision for revision in sorted(named) if _subject(store, revision) == digest), "")


def _subject(store: registry.Registry, name: str) -> str:
    """Return the digest of the image in the record under the tag NAME; empty if there is no record."""
    with contextlib.suppress(errors.RecordInvalid, errors.RegistryInvalid):
        if found := store.manifest(name):
            return artifact.decode_record(found[1], name).subject.digest
    return ""


def missing(store: registry.Registry, release: manifest.Manifest) -> list[str]:
    """Return the tags missing from STORE that should protect the image and the record of RELEASE.

    Raises:
        errors.ImageGone: STORE does not have the image at all.
    """
    image, revision = release.image, release.source.revision
    family = [found.digest for found, _ in store.family(image.digest)]
    if not family:
        raise errors.ImageGone(f"{image.reference}: the registry no longer has it", "inv release --fresh")
    gone = [tag(digest) for digest in family if store.digest(tag(digest)) != digest]
    if not store.digest(revision):
        return [*gone, revision]
    found = _subject(store, revision) == image.digest or store.digest(record_tag(image.digest))
    return gone if found else [*gone, record_tag(image.digest)]


def describe(tags: list[str]) -> str:
    """Return a short message about the missing TAGS."""
    more = f" and {len(tags) - LISTED} more" if len(tags) > LISTED else ""
    listed = ", ".join(tags[:LISTED]) + more
    return (
        f"protection tag{'s' if len(tags) > 1 else ''} {listed} gone: a clean-up of the registry may delete the release"
    )


def look(release: manifest.Manifest, role: str, *, insecure: bool) -> str:
    """Return a line if the registry lacks a part of RELEASE, or if that is not known; else empty.

    The line names ROLE, the use of RELEASE here. An image that is incomplete in the registry is only on the runtimes.
    """
    name = f"{release.source.revision[:12]}, {role}"
    try:
        reference = registry.Reference.parse(release.image.repository)
        store = registry.connect(reference, insecure=insecure, patience=PATIENCE)
        if absent := store.absent(release.image.digest):
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            return f"{name}: the registry lacks {absent[0]}{more}: only the runtime still has it; {AGAIN}"
        tags = missing(store, release)
    except errors.SelfdeployError as exc:
        return f"{name}: not known whether the registry has it: {exc.message}"
    return f"{name}: {describe(tags)}" if tags else ""


def warn(image: manifest.Image, *, insecure: bool) -> str:
    """Return a warning if the registry lacks IMAGE, just put back, or if that is not known; else empty."""
    try:
        store = registry.connect(registry.Reference.parse(image.repository), insecure=insecure)
        if not store.absent(image.digest):
            return ""
    except errors.SelfdeployError as exc:
        return f"whether the registry still has {image.digest} is not known: {exc.message}"
    return f"the registry no longer has {image.reference}: only the runtime holds it; release a new one"
