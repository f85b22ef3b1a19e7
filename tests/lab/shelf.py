"""A registry that is a dictionary, for tests that open no socket."""

from selfdeploy.registry import Descriptor, Reference, Registry, sha256


class Shelf(Registry):
    """A registry that has what was put into it, and forgets the tags in `tags` that a test removes."""

    def __init__(self) -> None:
        super().__init__(Reference(host="127.0.0.1:1", repository="sf"), scheme="http")
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}

    def manifest(self, name: str) -> tuple[Descriptor, bytes] | None:
        digest = self.tags.get(name, name)
        if digest not in self.manifests:
            return None
        kind, data = self.manifests[digest]
        return Descriptor(media_type=kind, digest=digest, size=len(data)), data

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        self.manifests[sha256(data)] = media_type, data
        if not name.startswith("sha256:"):
            self.tags[name] = sha256(data)

    def put_blob(self, data: bytes) -> None:
        self.blobs[sha256(data)] = data

    def blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    def gives(self, digest: str, size: int) -> bool:
        return len(self.blobs.get(digest, b"")) == size
