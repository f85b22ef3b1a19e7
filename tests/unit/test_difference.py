"""Where two images differ, told of images that are held in memory."""

import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from selfdeploy.registry import Child, Image, Reference, Registry, artifact, difference
from selfdeploy.registry.layers import GZIP

PLATFORM = "linux/amd64"


def layer(*files: tuple[str, bytes], time: int = 0, mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), time, mode
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Held(Registry):
    """A registry whose images are values."""

    def __init__(self) -> None:
        super().__init__(Reference(host="127.0.0.1:1", repository="sf"), scheme="http")
        self.held: dict[str, bytes] = {}

    def keep(self, *layers: bytes, level: int = 6, platform: str = PLATFORM, **settings: object) -> Image:
        packed = tuple(self._hold(gzip.compress(data, level, mtime=0), GZIP[0]) for data in layers)
        config = self._hold(json.dumps(settings).encode(), artifact.CONFIG[0])
        single = artifact.Single(config=config, layers=packed)
        top = self._hold(single.model_dump_json(by_alias=True).encode(), artifact.SINGLE[0])
        child = Child(digest=top.digest, config=config.digest)
        return Image(digest=top.digest, media_type=artifact.SINGLE[0], platforms={platform: child})

    def _hold(self, data: bytes, media_type: str) -> artifact.Descriptor:
        digest = artifact.sha256(data)
        self.held[digest] = data
        return artifact.Descriptor(media_type=media_type, digest=digest, size=len(data))

    def single(self, digest: str, size: int | None = None) -> artifact.Single:
        del size
        return artifact.parse(artifact.Single, self.held[digest], digest)

    def blob(self, digest: str) -> bytes:
        return self.held[digest]

    @contextlib.contextmanager
    def stream(self, digest: str) -> Iterator[Iterator[bytes]]:
        yield iter([self.held[digest]])


BASE = layer(("bin/node", b"node"))
FILES = ("opt/sf/a", b"1"), ("opt/sf/b", b"2")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (layer(FILES[0], ("opt/sf/b", b"3")), "layer 2 of 2: opt/sf/b: content d4735e"),
        (layer(FILES[0], ("opt/sf/b", b"22")), "layer 2 of 2: opt/sf/b: size 1 and 2"),
        (layer(*FILES, time=7), "layer 2 of 2: opt/sf/a: time 0 and 7"),
        (layer(*FILES, mode=0o755), "layer 2 of 2: opt/sf/a: mode 0o644 and 0o755"),
        (layer(FILES[0]), "layer 2 of 2: 'opt/sf/b' and its end"),
        (layer(*reversed(FILES)), "layer 2 of 2: 'opt/sf/a' and 'opt/sf/b'"),
        (layer(("", b""), *FILES[1:]), "'opt/sf/a' and ''"),
    ],
)
def test_the_first_file_of_the_first_layer_that_differs_is_named(other: bytes, said: str) -> None:
    store = Held()

    told = difference.first(store, store.keep(BASE, layer(*FILES)), store.keep(BASE, other))

    assert told.startswith(f"{PLATFORM}: ")
    assert said in told


def test_layers_with_the_same_files_are_said_to_be_packed_otherwise() -> None:
    store = Held()

    told = difference.first(store, store.keep(layer(*FILES), level=1), store.keep(layer(*FILES), level=9))

    assert told.endswith("layer 1 of 1: the same files, packed otherwise")


def test_another_number_of_layers_and_other_platforms_are_told() -> None:
    store = Held()
    one = store.keep(BASE)

    assert difference.first(store, one, store.keep(BASE, BASE)).endswith("1 layers and 2")
    assert difference.first(store, one, store.keep(BASE, platform="linux/arm64")).startswith("platforms: linux/amd64")


def test_the_first_value_of_the_config_that_differs_is_named() -> None:
    store = Held()
    one = store.keep(BASE, config={"Env": ["A=1", "B=1"], "User": "1"}, created="now")

    told = difference.first(store, one, store.keep(BASE, config={"Env": ["A=1", "B=2"], "User": "1"}, created="then"))

    assert told == f"{PLATFORM}: config: config.Env[1]: 'B=1' and 'B=2'"
