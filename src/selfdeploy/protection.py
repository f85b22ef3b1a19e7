"""That the image of a release stays: whole in its registry, under a tag of its own, so that no clean-up takes it."""

from selfdeploy import errors, manifest, registry


def tag(digest: str) -> str:
    """Return the tag that keeps the image DIGEST."""
    return f"kept-{digest.removeprefix('sha256:')}"


def protect(store: registry.Registry, image: manifest.Image) -> None:
    """Have STORE keep IMAGE, which has to be there whole, under a tag of its own.

    Raises:
        errors.ImageGone: it, or a part of it, is not there any more.
        errors.RegistryDenied: the tag is not there yet, and our credentials may not put it there.
    """
    found = store.manifest(image.digest)
    absent = store.absent(image.digest) if found else [image.digest]
    if found is None or absent:
        raise errors.ImageGone(
            f"{image.reference}: the registry has not got {', '.join(absent)} any more",
            "release it again: inv release --fresh; nothing that this tool does deletes from a registry",
        )
    kept = store.manifest(tag(image.digest))
    if kept is None or kept[0].digest != image.digest:
        store.put_manifest(found[1], found[0].media_type, tag(image.digest))


def warn(image: manifest.Image, *, insecure: bool) -> str:
    """Return what is to be told of IMAGE, which an environment was put back to; nothing when its registry has it."""
    try:
        store = registry.connect(registry.Reference.parse(image.repository), insecure=insecure)
        if store.manifest(image.digest) and not store.absent(image.digest):
            return ""
    except errors.SelfdeployError as exc:
        return f"whether the registry still has {image.digest} is not known: {exc.message}"
    return f"the registry has not got {image.reference} any more: what holds it is the runtime alone; release a new one"
