"""The files of an image, from layers made in memory."""

import contextlib
import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from selfdeploy import errors, tree
from selfdeploy.registry import Reference, Registry, artifact, changeset, layers
from selfdeploy.registry.changeset import Files
from selfdeploy.tree import Entry

Member = tuple[str, str | bytes | None] | tarfile.TarInfo
"""A name with bytes (a file; a program where the name ends with `*`), a link's target, or None for a folder."""


def tar(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name.removesuffix("*"))
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size, info.mode = len(content), 0o755 if name.endswith("*") else 0o644
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.LNKTYPE, target
    return info


def entry(content: bytes, kind: str = "file") -> Entry:
    return Entry(kind="program" if kind == "program" else "file", content=hashlib.sha256(content).hexdigest())


class Held(Registry):
    """A registry's answers as values: blobs by digest, and one image of them."""

    def __init__(self, stored: Sequence[bytes], media_type: str) -> None:
        super().__init__(Reference(host="127.0.0.1:1", repository="sf"), scheme="http")
        self.blobs = {artifact.sha256(data): data for data in stored}
        self.image_manifest = artifact.Single(
            config=artifact.Descriptor(media_type=artifact.CONFIG[0], digest=artifact.sha256(b""), size=0),
            layers=tuple(
                artifact.Descriptor(media_type=media_type, digest=artifact.sha256(data), size=len(data))
                for data in stored
            ),
        )

    def single(self, digest: str, size: int | None = None) -> artifact.Single:
        del digest, size
        return self.image_manifest

    @contextlib.contextmanager
    def stream(self, digest: str) -> Iterator[Iterator[bytes]]:
        data = self.blobs[digest]
        yield (data[at : at + 1000] for at in range(0, len(data), 1000))


def files(*unpacked: bytes, below: str = "opt/sf", limits: layers.Limits = layers.LIMITS) -> dict[str, Entry]:
    store = Held([gzip.compress(data) for data in unpacked], layers.GZIP[0])
    return dict(layers.files(store, "sha256:" + "0" * 64, below, limits))


@pytest.mark.parametrize(
    ("stored", "media_type"),
    [(lambda data: data, layers.PLAIN[0]), (gzip.compress, layers.GZIP[0]), (gzip.compress, layers.GZIP[1])],
)
def test_an_image_has_the_files_that_its_layer_brings(stored: type[bytes], media_type: str) -> None:
    data = tar(("opt/sf", None), ("opt/sf/a", b"1"), ("opt/sf/run*", b"2"), ("opt/sf/to", "a"), ("etc/other", b""))

    found = layers.files(Held([stored(data)], media_type), "x", "opt/sf")

    assert found == {
        "a": entry(b"1"),
        "run": entry(b"2", "program"),
        "to": Entry(kind="link", content="a"),
    }


def test_files_are_kept_as_the_last_layer_has_them_and_no_others() -> None:
    first = tar(("var/lib/dpkg/status", b"old"), ("var/lib/dpkg/status-old", b"no"), ("etc/parts/a", b"gone"))
    second = tar(("var/lib/dpkg/status", b"new"), ("etc/parts/.wh.a", b""), ("etc/parts/b", b"1"))
    names = ("var/lib/dpkg/status", "etc/parts", "etc/missing")

    found = layers.contents(Held([first, second], layers.PLAIN[0]), "x", names)

    assert found == {"etc/parts/b": b"1", "var/lib/dpkg/status": b"new"}
    assert layers.contents(Held([first], f"{layers.PLAIN[0]}+zstd"), "x", names) is None


def test_a_file_too_large_to_keep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changeset, "KEPT", 3)

    with pytest.raises(errors.RegistryInvalid, match="more than 3 bytes to keep"):
        layers.contents(Held([tar(("status", b"1234"))], layers.PLAIN[0]), "x", ("status",))


def test_gzip_in_several_members_is_one_layer() -> None:
    data = tar(("opt/sf/a", b"x" * 4000))
    stored = gzip.compress(data[:700]) + gzip.compress(data[700:])

    assert layers.files(Held([stored], layers.GZIP[0]), "x", "opt/sf") == {"a": entry(b"x" * 4000)}


@pytest.mark.parametrize("name", ["opt/sf/a", "./opt/sf/a", "/opt/sf/a", "opt//sf/./a"])
def test_a_name_is_a_path_from_the_images_root_however_it_is_written(name: str) -> None:
    assert files(tar((name, b"1"))) == {"a": entry(b"1")}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([("opt/sf/a", b"new")], {"a": b"new", "d": None, "d/x": b"1"}),
        ([("opt/sf/.wh.a", b"")], {"d": None, "d/x": b"1"}),
        ([("opt/sf/.wh.d", b"")], {"a": b"old"}),
        ([("opt/.wh.sf", b"")], {}),
        ([("opt/sf/.wh..wh..opq", b""), ("opt/sf/b", b"2")], {"b": b"2"}),
        ([("opt/sf/b", b"2"), ("opt/sf/.wh..wh..opq", b"")], {"b": b"2"}),
        ([("opt/sf/d/y", b"2"), ("opt/sf/.wh..wh..opq", b"")], {"d": None, "d/y": b"2"}),
        ([("opt/sf/d", b"file now")], {"a": b"old", "d": b"file now"}),
        ([("opt/sf/d", None)], {"a": b"old", "d": None, "d/x": b"1"}),
        ([("opt/sf/a", None)], {"a": None, "d": None, "d/x": b"1"}),
        ([("opt/sf/.wh..wh.plnk", b"")], {"a": b"old", "d": None, "d/x": b"1"}),
        ([("opt/sf", b"a file")], {}),
    ],
)
def test_a_later_layer_wins(later: list[Member], expected: dict[str, bytes | None]) -> None:
    first = tar(("opt/sf/a", b"old"), ("opt/sf/d/x", b"1"))

    found = files(first, tar(*later))

    assert found == {
        name: Entry(kind="folder") if content is None else entry(content) for name, content in expected.items()
    }


def test_a_hard_link_is_the_file_it_leads_to_also_in_a_lower_layer() -> None:
    first = tar(("usr/bin/tool*", b"1"), ("opt/sf/a", b"2"), hard_link("opt/sf/b", "opt/sf/a"))

    found = files(first, tar(hard_link("opt/sf/tool", "./usr/bin/tool")))

    assert found == {"a": entry(b"2"), "b": entry(b"2"), "tool": entry(b"1", "program")}


@pytest.mark.parametrize(
    "members",
    [
        [("opt", "srv"), ("opt/sf/a", b"1")],
        [("back", "opt/sf"), ("back/a", b"1")],
        [("srv/x", None), ("opt/sf", "../srv/x"), ("srv/x/a", b"1")],
        [("opt/deep/x", "/opt/sf"), ("opt/deep/x/a", b"1")],
        [("out", "../../../../opt/sf"), ("out/a", b"1")],
    ],
)
def test_links_lead_where_they_would_for_the_server_and_never_out_of_the_image(members: list[Member]) -> None:
    assert files(*(tar(member) for member in members)) == {"a": entry(b"1")}


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([("../etc/passwd", b"")], "no name for a file"),
        ([("opt/../../x", b"")], "no name for a file"),
        ([hard_link("opt/sf/a", "../../etc/passwd")], "no name for a file"),
        ([hard_link("opt/sf/a", "opt/sf/nowhere")], "which is no file"),
        ([("opt/sf/a", b""), ("opt/sf/a/b", b"")], "below a file"),
        ([("opt/sf/a", b""), ("opt/sf/.wh.a", b"")], "a whiteout of what the same layer brings"),
        ([("opt/sf/.wh.", b"")], "a whiteout of"),
        ([("opt/a", "b"), ("opt/b", "a"), ("opt/a/x", b"")], "more than 40 links"),
        ([("x" * 5000, b"")], "too long"),
        ([("opt/l", "x/" * 3000)], "too long"),
        ([("/".join("a" * 2000), b"")], "recursion"),
    ],
)
def test_a_layer_with_what_none_may_have_is_refused(members: list[Member], what: str) -> None:
    with pytest.raises(errors.RegistryInvalid, match=what):
        files(tar(*members))


def with_global_header(data: bytes, **keys: str) -> bytes:
    head = tarfile.TarInfo.create_pax_global_header(keys or {"path": "opt/sf/renamed"})
    return bytes(head) + data


def with_damaged_header(data: bytes) -> bytes:
    return with_global_header(data, comment="x").replace(b"13 comment=x", b"99 comment=x")


def with_negative_size(data: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("opt/sf/a").tobuf(tarfile.GNU_FORMAT)
    field = b"\xff" + (256**11 + size).to_bytes(11, "big")
    head = info[:124] + field + info[136:]
    summed = 256 + sum(head[:148]) + sum(head[156:512])
    return head[:148] + f"{summed:06o}\0 ".encode() + head[156:] + data


def sparse() -> bytes:
    info = tarfile.TarInfo("opt/sf/a")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0"}
    info.pax_headers |= {"GNU.sparse.size": str(1 << 60)}
    return tar(info)


ONE = tar(("opt/sf/a", b"x" * 3000))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0" * 100, "truncated header"),
        (b"no tar at all" * 100, "header"),
        (ONE[:1500], "unexpected end of data"),
        (with_global_header(ONE), "a global header that sets 'path'"),
        (ONE[:3584] + with_global_header(b"\0" * 1024, size="1"), "a global header that sets 'size'"),
        (with_global_header(ONE, linkpath="/etc/passwd"), "a global header that sets 'linkpath'"),
        (with_global_header(ONE, **{"GNU.sparse.name": "x"}), "a global header that sets 'GNU.sparse.name'"),
        (with_damaged_header(ONE), "a global header that is damaged"),
        (with_negative_size(ONE, -1), "of no size"),
        (with_negative_size(ONE, -100_000), "of no size"),
        (sparse(), "sparse"),
        (ONE + b"more", "something stands behind its end"),
        (tar(tarfile.TarInfo("x" * 2_000_000)), "a header of"),
    ],
)
def test_a_layer_that_is_no_whole_tar_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(errors.RegistryInvalid, match=what):
        files(data)


@pytest.mark.parametrize(
    "layer",
    [
        with_global_header(ONE, comment="7f0d2a"),
        with_global_header(with_global_header(ONE, mtime="1"), comment="\u20ac", uname="root"),
        ONE[:3584] + with_global_header(b"\0" * 1024, comment="at the end"),
    ],
)
def test_a_global_header_that_changes_no_file_is_ignored_as_runtimes_ignore_it(layer: bytes) -> None:
    store = Held([gzip.compress(layer)], layers.GZIP[0])

    assert files(layer) == {"a": entry(b"x" * 3000)}
    assert {member.name for member in layers.members(store, store.image_manifest.layers[0])} == {"opt/sf/a"}


@pytest.mark.parametrize(
    "unpacked", [b"", b"\0" * 512, b"\0" * 1024, b"\0" * 10240, with_global_header(b"\0" * 1024, comment="x")]
)
@pytest.mark.parametrize("media_type", [layers.PLAIN[0], layers.GZIP[0]])
def test_an_empty_layer_brings_nothing(unpacked: bytes, media_type: str) -> None:
    stored = gzip.compress(unpacked) if media_type in layers.GZIP and unpacked else unpacked
    store = Held([stored], media_type)

    assert layers.files(store, "x", "opt/sf") == {}
    assert layers.members(store, store.image_manifest.layers[0]) == []
    assert files(ONE, unpacked) == {"a": entry(b"x" * 3000)}


@pytest.mark.parametrize(
    ("stored", "media_type", "what"),
    [
        (ONE, layers.GZIP[0], "gzip"),
        (gzip.compress(ONE)[:-20], layers.GZIP[0], "end-of-stream|end of data"),
        (gzip.compress(ONE)[:-8] + b"\0" * 8, layers.GZIP[0], "CRC"),
        (gzip.compress(ONE) + b"more", layers.GZIP[0], "gzip"),
        (ONE, "application/vnd.oci.image.layer.v1.tar+zstd", "zstd' is not read"),
        (ONE, "text/html", "is not read"),
    ],
    ids=["no gzip", "cut short", "wrong checksum", "more behind it", "zstd", "no layer"],
)
def test_a_layer_that_cannot_be_unpacked_is_refused(stored: bytes, media_type: str, what: str) -> None:
    with pytest.raises(errors.RegistryInvalid, match=what):
        layers.files(Held([stored], media_type), "x", "opt/sf")


def test_a_layer_with_other_bytes_than_its_digest_names_is_refused() -> None:
    store = Held([ONE], layers.PLAIN[0])
    (digest,) = store.blobs
    store.blobs[digest] = ONE.replace(b"xxx", b"xyx", 1)

    with pytest.raises(errors.RegistryInvalid, match=f"layer {digest}: actual sha256:"):
        layers.files(store, "x", "opt/sf")


def test_a_layer_that_never_ends_is_given_up_at_the_size_it_is_said_to_have() -> None:
    store = Held([ONE], layers.PLAIN[0])
    (digest,) = store.blobs
    store.blobs[digest] = ONE + b"\0" * 100_000

    with pytest.raises(errors.RegistryInvalid, match="bytes it is said to have"):
        layers.files(store, "x", "opt/sf")


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (layers.Limits(stored=100), "2 layers of"),
        (layers.Limits(unpacked=5000), "bytes unpacked"),
        (layers.Limits(paths=2), "more than 2 paths"),
    ],
)
def test_an_image_is_not_read_beyond_its_limits(limits: layers.Limits, what: str) -> None:
    with pytest.raises(errors.RegistryInvalid, match=what):
        files(ONE, tar(("opt/sf/b", b"0" * 9000)), limits=limits)


def test_an_image_of_more_layers_than_a_kernel_takes_is_refused() -> None:
    with pytest.raises(errors.RegistryInvalid, match="129 layers"):
        files(*[ONE] * 129)


def test_what_is_no_file_is_told_and_not_read() -> None:
    device = tarfile.TarInfo("opt/sf/null")
    device.type = tarfile.CHRTYPE

    assert files(tar(device)) == {"null": Entry(kind="special")}


def test_a_tree_and_its_layer_have_the_same_entries(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "loader.js").write_text("x")
    (tmp_path / "run").write_text("y")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "to").symlink_to("dist/loader.js")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(tmp_path, "opt/sf")

    assert files(buffer.getvalue()) == tree.entries(tmp_path)
    assert list(files(buffer.getvalue())) == list(tree.entries(tmp_path))


def test_the_digest_of_a_tree_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    (tmp_path / "a-b").write_text("y")
    (tmp_path / "to").symlink_to("a/x")
    lines = [
        ("a", "folder", ""),
        ("a/x", "file", hashlib.sha256(b"x").hexdigest()),
        ("a-b", "file", hashlib.sha256(b"y").hexdigest()),
        ("to", "link", hashlib.sha256(b"a/x").hexdigest()),
    ]
    expected = hashlib.sha256("".join(f"{a}\0{b}\0{c}\n" for a, b, c in lines).encode()).hexdigest()

    assert tree.digest(tmp_path) == f"sha256:{expected}"


def test_a_tree_with_a_pipe_and_a_strange_name_is_hashed_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).write_text("x")

    assert tree.entries(tmp_path)["pipe"] == Entry(kind="special")
    assert tree.digest(tmp_path).startswith("sha256:")


def test_differences_are_named_in_order() -> None:
    expected = {"a": entry(b"1"), "b": entry(b"2"), "c": entry(b"3"), "same": entry(b"4"), "to": link("a")}
    actual = {"a": entry(b"x"), "c": entry(b"3", "program"), "d\x1b[2J": entry(b"5"), "same": entry(b"4")}
    actual["to"] = link("b")

    assert layers.compare(expected, actual) == [
        "a: differs",
        "b: missing in the image",
        "c: expected a file, actual a program",
        "'d\\x1b[2J': only in the image",
        "to: differs",
    ]
    assert layers.compare(expected, expected) == []


def test_many_differences_are_counted_and_not_all_told() -> None:
    expected = {f"{number:02}": entry(b"") for number in range(30)}

    found = layers.compare(expected, {}, limit=3)

    assert found == [*(f"0{number}: missing in the image" for number in range(3)), "and 27 more"]


def link(target: str) -> Entry:
    return Entry(kind="link", content=target)


def test_a_truncated_or_corrupt_layer_raises_our_own_error_or_gives_a_tree() -> None:
    data = tar(("opt/sf/a", b"1"), ("opt/sf/" + "long" * 40, b"2"), ("opt/sf/to", "a"))
    broken = [data[:length] for length in range(0, len(data), 97)]
    broken += [data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] for at in range(0, 3072, 5)]

    for layer in broken:
        with contextlib.suppress(errors.RegistryInvalid):
            files(layer)


def test_a_changeset_starts_empty() -> None:
    assert Files().below("opt/sf") == {}
