"""Hostile registries and logins: whatever they hold, it ends in an error of ours or in success, no secret told."""

import base64
import contextlib
import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from lab.fuzz import SECRET, TEXT, changed, data, dump, ends_well, fuzzed, turned
from lab.values import CHILD, a_manifest
from selfdeploy import process, provenance, registry
from selfdeploy.build import inspection
from selfdeploy.build.builders import kaniko
from selfdeploy.registry import artifact, connections, credentials, difference, helper, layers, tokens
from selfdeploy.trust import envelope, keys, statement

pytestmark = pytest.mark.usefixtures("never_hangs", "no_cover")

KEY = keys.Public(name="k", key=SSlibKey("k", "ed25519", "ed25519", {"public": "00" * 32}))
DESCRIPTOR = {"mediaType": artifact.SINGLE[0], "digest": CHILD, "size": 3}


@fuzzed
@given(
    data({"manifests": [{**DESCRIPTOR, "platform": {"os": "linux", "architecture": "amd64"}}]}),
    data({"config": DESCRIPTOR, "layers": [DESCRIPTOR], "artifactType": artifact.RELEASE, "subject": DESCRIPTOR}),
    TEXT,
)
def test_what_a_registry_holds_is_taken_or_refused(index: bytes, single: bytes, reference: str) -> None:
    ends_well(lambda: artifact.parse(artifact.Index, index, "x"))
    ends_well(lambda: artifact.parse(artifact.Single, single, "x"))
    ends_well(lambda: artifact.decode_record(single, "x"))
    ends_well(lambda: artifact.parse_object(single, "x"))
    ends_well(lambda: registry.Reference.parse(reference))
    ends_well(lambda: registry.is_loopback(reference))


@fuzzed
@given(data({"payload": "e30=", "payloadType": envelope.TYPE, "signatures": [{"keyid": "", "sig": "AAAA"}]}), TEXT)
def test_what_lies_in_a_record_as_a_signature_is_taken_or_refused(signature: bytes, text: str) -> None:
    ends_well(lambda: envelope.open_with(signature, (KEY,), "x"))
    ends_well(lambda: statement.check(signature, a_manifest(), b"", "x"))
    ends_well(lambda: statement.is_release(signature))
    for name in ("SIGSTORE ", ""):
        pem = f"-----BEGIN ENCRYPTED {name}PRIVATE KEY-----\n{text}\n-----END ENCRYPTED {name}PRIVATE KEY-----\n"
        ends_well(lambda pem=pem: keys.load_private(pem.encode(errors="replace"), "pw", "x"))  # type: ignore[misc]


class Held:
    """The way to a registry that has DATA by digest, and the manifests of one image by tag."""

    def __init__(self, manifests: Mapping[str, tuple[str, bytes]], blobs: Sequence[bytes]) -> None:
        self.manifests = manifests
        self.blobs = {artifact.sha256(blob): blob for blob in blobs}

    @contextlib.contextmanager
    def exchange(self, method: str, path: str, **_: object) -> Iterator[connections.Answer]:
        assert method in {"GET", "HEAD"}
        kind, name = path.split("/")[-2:]
        media_type, found = self.manifests.get(name, ("", None)) if kind == "manifests" else ("", self.blobs.get(name))
        headers = {"Content-Type": media_type}
        status = 404 if found is None else 200
        yield connections.Answer(status=status, headers=headers, url="http://x", chunks=iter([found or b""]))


def a_tar(*names: str) -> bytes:
    """A layer with a folder, a file, a link to it and another name of it, called NAMES."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        kinds = (tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
        for name, kind in zip(names, kinds, strict=True):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, names[1]
            archive.addfile(info)
    return buffer.getvalue()


IMAGE = {
    "os": "linux",
    "architecture": "amd64",
    "config": {
        "Labels": {"org.opencontainers.image.revision": "a" * 40},
        "Entrypoint": ["tini", "--"],
        "Cmd": list(inspection.LINE),
        "User": "1000",
    },
}
TAR = a_tar("opt/sf", "opt/sf/a", "opt/sf/b", "opt/sf/dist/loader.js")
NAMES = [
    "opt/sf",
    "opt/sf/a",
    "..",
    "/",
    "a/../..",
    "opt/sf/.wh.a",
    "opt/sf/.wh.",
    ".wh..wh..opq",
    "x" * 5000,
    "\u20ac",
]


@st.composite
def stored(draw: st.DrawFn) -> bytes:
    """A layer of other names, or with a few other bytes in it, before it was gzipped or after."""
    if draw(st.booleans()):
        return gzip.compress(a_tar(*draw(st.lists(st.sampled_from(NAMES), min_size=4, max_size=4))))
    told, is_packed = bytearray(TAR), draw(st.booleans())
    told = bytearray(gzip.compress(TAR)) if is_packed else told
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, min(len(told), 2100)))
        told[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(told) if is_packed else gzip.compress(told)


def use_image(store: registry.Registry, ship: Path) -> None:
    """Read an image as a release does that somebody else has built."""
    image = store.image("t")
    assert image
    store.labels(image)
    store.absent(image.digest)
    inspection.bases(store, image, "x")
    assert difference.first(store, image, image)
    inspection.check(store, image, {inspection.REVISION: "a" * 40, inspection.TREE: "t"}, ship, foreign=True)
    for child in image.platforms.values():
        for layer in store.single(child.digest).layers:
            layers.members(store, layer)


def a_store(config: bytes, layer: bytes, change: Callable[[dict[str, Any]], Any] = lambda told: told) -> Any:  # noqa: ANN401 -- as a registry
    """A registry with an image of CONFIG and LAYER whose digests are right, and whose manifest has a CHANGE."""
    parts = [
        {"mediaType": kind, "digest": artifact.sha256(part), "size": len(part)}
        for kind, part in ((artifact.CONFIG[0], config), (layers.GZIP[0], layer))
    ]
    single = dump(change({"config": parts[0], "layers": parts[1:]}))
    top = dict.fromkeys(("t", artifact.sha256(single)), (artifact.SINGLE[0], single))
    store = registry.Registry(registry.Reference(host="127.0.0.1:1", repository="sf"), scheme="http")
    vars(store)["_transport"] = Held(top, [config, layer])
    return store


@fuzzed
@given(data(IMAGE), stored(), st.binary(max_size=30), st.data())
def test_an_image_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, config: bytes, layer: bytes, other: bytes, drawn: st.DataObject
) -> None:
    ship = tmp_path_factory.getbasetemp()

    for store in (
        a_store(config, gzip.compress(TAR)),
        a_store(dump(IMAGE), layer),
        a_store(dump(IMAGE), other),
        a_store(dump(IMAGE), gzip.compress(TAR), lambda told: drawn.draw(changed(told))),
    ):
        ends_well(lambda store=store: use_image(store, ship))  # type: ignore[misc]


def test_an_image_whose_config_is_turned_in_one_place_is_read_or_refused(tmp_path: Path) -> None:
    layer = gzip.compress(TAR)
    use_image(a_store(dump(IMAGE), layer), tmp_path)

    for config in turned(IMAGE):
        ends_well(lambda config=config: use_image(a_store(dump(config), layer), tmp_path))  # type: ignore[misc]


@fuzzed
@given(data({"schema": 1, "builtAt": "t", "who": "w", "run": {"authority": "forgejo"}, "base": {"x": "y"}}))
def test_evidence_is_taken_or_refused(told: bytes) -> None:
    ends_well(lambda: provenance.authority(provenance.decode(told)))


@fuzzed
@given(st.dictionaries(st.sampled_from(["FORGEJO_RUN_ID", "GITHUB_RUN_ID", "GITHUB_SERVER_URL"]), TEXT))
def test_who_runs_this_is_always_told(told: dict[str, str]) -> None:
    ends_well(lambda: provenance.read_holder(told))


# Logins.

AUTHS = {
    "auths": {
        "h:1": {"auth": base64.b64encode(f"ci:{SECRET}".encode()).decode(), "password": SECRET, "username": "ci"},
        "https://h:2/v1": {"identitytoken": SECRET},
    },
    "credsStore": "",
}
HELPED = dump({"credHelpers": {"h:1": "x"}})
TOLD = {"Username": "ci", "Secret": SECRET, "ServerURL": "h:1"}


@fuzzed
@given(data(AUTHS), st.sampled_from(["h:1", "h:2"]), data(TOLD), st.integers(0, 1))
def test_a_login_is_found_or_refused_and_never_told(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    told: bytes,
    host: str,
    helped: bytes,
    code: int,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    file = folder / "config.json"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    answer = process.Outcome(argv=(), code=code, stdout=helped, stderr=SECRET.encode())
    monkeypatch.setattr(process, "run", lambda *_, **__: answer)

    def use() -> None:
        assert SECRET not in repr(credentials.find(host, file))
        json.loads(kaniko.logins([host]))

    for content in (told, HELPED):
        file.write_bytes(content)
        ends_well(use)


OWN = "https://h:1/v2/"


@fuzzed
@given(TEXT | st.sampled_from(["get", "list", "store"]), TEXT | st.builds("{}h:1{}".format, TEXT, TEXT) | st.just(OWN))
@example("get", "h:1.evil")
@example("get", OWN)
def test_the_login_we_hold_is_told_of_its_own_registry_alone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, action: str, address: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "deploy.toml").write_text('[image]\nrepository = "h:1/sf"\n')
    monkeypatch.chdir(folder)
    monkeypatch.setenv(helper.TOKEN, SECRET)

    text, code = helper.answer(action, address)

    assert (SECRET in text) == (code == 0 and action == "get")
    if SECRET in text:
        assert re.fullmatch(r"(https?://)?h:1(/.*)?", address.strip())


@fuzzed
@given(TEXT | st.just('Bearer realm="https://[x",service="') | st.text(alphabet='Bearer realm="s:/[],', max_size=60))
def test_a_challenge_is_answered_or_refused(told: str) -> None:
    login = tokens.Login(host="h:1", repository="sf")
    login.__dict__["_known"] = credentials.Credentials(user="ci", password=SECRET)

    ends_well(lambda: login.answer(told, "https"))


@fuzzed
@given(st.integers(100, 599), data({"token": SECRET}))
def test_a_token_is_taken_or_refused_and_never_told(status: int, told: bytes) -> None:
    login = tokens.Login(host="h:1", repository="sf")
    login.__dict__["_known"] = None

    ends_well(lambda: login.take(status, told))
