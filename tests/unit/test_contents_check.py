"""What has to ship, and what a machine's platform is to a native module."""

import platform
import struct
from pathlib import Path

import pytest

from selfdeploy import contents, errors
from selfdeploy.contents import check, native, npm
from selfdeploy.contents.lock import Required
from selfdeploy.tree import Entry

X = "node_modules/x/package.json"


def a_ship(root: Path, *names: str, version: str = "1.0.0") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"version": "{version}"}}')
    return root


@pytest.mark.parametrize("version", ["1.0.0", "v1.0.0", "=1.0.0", " 1.0.0", "1.0.0+build.5"])
def test_a_tree_with_all_that_has_to_ship_passes(tmp_path: Path, version: str) -> None:
    ship = a_ship(tmp_path, "dist/loader.js", X, "packages/a/package.json", version=version)

    check.refuse_missing(ship, {"node_modules/x": Required(version="1.0.0"), "packages/a": Required()})


def test_a_loader_that_does_not_ship_is_missed_before_an_image_is_there(tmp_path: Path) -> None:
    with pytest.raises(errors.ContentsIncomplete, match=r"^dist/loader\.js: not among the files that ship") as refused:
        check.refuse_missing(a_ship(tmp_path, "package.json"), {})

    assert "package.json ship" in refused.value.hint


def test_packages_that_are_missing_or_of_another_version_are_named(tmp_path: Path) -> None:
    ship = a_ship(tmp_path, "dist/loader.js", X, "node_modules/y/i.js")
    names = {"node_modules/x": "2.0.0", "node_modules/y": "1.0.0", "packages/a/node_modules/x": "2.0.0"}

    with pytest.raises(errors.ContentsIncomplete) as refused:
        check.refuse_missing(ship, {name: Required(version=version) for name, version in names.items()})

    assert refused.value.message.splitlines() == [
        "node_modules/x: the lock file requires version 2.0.0, the gates left 1.0.0",
        "node_modules/y: the lock file requires version 1.0.0, the gates left none",
        "packages/a/node_modules/x: required by the lock file, and missing",
    ]


def test_a_package_in_npm_s_store_is_at_its_place(tmp_path: Path) -> None:
    places = ("node_modules/.store/x@1.0.0-abc/node_modules/x", "node_modules/.store/@s/y@1.0.0-d/node_modules/@s/y")
    ship = a_ship(tmp_path, "dist/loader.js", *(f"{place}/package.json" for place in places))

    check.refuse_missing(ship, {f"node_modules/{name}": Required(name=name, version="1.0.0") for name in ("x", "@s/y")})
    check.refuse_missing(ship, {"node_modules/alias": Required(name="x", version="1.0.0")})
    with pytest.raises(errors.ContentsIncomplete, match="node_modules/x: required by the lock file, and missing"):
        check.refuse_missing(ship, {"node_modules/x": Required(name="x", version="2.0.0")})


def test_a_workspace_that_nothing_in_npm_s_store_links_to_ships_in_its_own_folder(tmp_path: Path) -> None:
    ship = a_ship(
        tmp_path, "dist/loader.js", "packages/a/package.json", "node_modules/.store/x@1-a/node_modules/x/i.js"
    )

    check.refuse_missing(ship, {"node_modules/@sf/a": Required(name="@sf/a", link=True, target="packages/a")})
    with pytest.raises(errors.ContentsIncomplete, match="node_modules/@sf/b: required by the lock file, and missing"):
        check.refuse_missing(ship, {"node_modules/@sf/b": Required(name="@sf/b", link=True, target="packages/b")})


def test_a_long_list_of_packages_is_cut(tmp_path: Path) -> None:
    ship = a_ship(tmp_path, "dist/loader.js")

    with pytest.raises(errors.ContentsIncomplete, match="and 5 more$"):
        check.refuse_missing(ship, {f"node_modules/{n}": Required() for n in range(25)})


def of(*names: str, content: str = "a") -> dict[str, Entry]:
    return {name: Entry(kind="file", content=content) for name in names}


def test_an_image_of_somebody_else_has_what_has_to_ship() -> None:
    gated = of("dist/loader.js", X, "packages/a/package.json")

    contents.refuse_incomplete(
        "linux/arm64", gated, {**gated, **of("more", "packages/a/package.json", content="b")}, [X]
    )


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (of(X), "dist/loader.js: missing in the image"),
        (of("dist/loader.js"), f"{X}: missing in the image"),
        (of("dist/loader.js") | of(X, content="b"), "node_modules/x: another version than the gates ran on"),
    ],
)
def test_an_image_of_somebody_else_that_lacks_something_is_refused(actual: dict[str, Entry], message: str) -> None:
    with pytest.raises(errors.ImageMismatch, match=f"^linux/arm64: {message}$"):
        contents.refuse_incomplete("linux/arm64", of("dist/loader.js", X), actual, [X])


def elf(machine: int, text: bytes = b"libc.so.6", order: str = "<", system: int = 0) -> bytes:
    return (
        b"\x7fELF\x02"
        + (b"\x01" if order == "<" else b"\x02")
        + bytes((1, system))
        + bytes(8)
        + struct.pack(f"{order}HH", 3, machine)
        + text
    )


OWN = native.MACHINES[platform.machine()]
MUSL = platform.libc_ver()[0] != "glibc"


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("build/x.node", elf(OWN, b"libc.musl-" if MUSL else b"libc.so.6"), True),
        ("build/x.node", elf(OWN, b"libc.so.6" if MUSL else b"libc.musl-x86_64.so.1"), False),
        ("build/linux/x.node", elf(OWN, b"libc.musl-" if MUSL else b"libc.so.6", system=3), True),
        ("build/freebsd/x.node", elf(OWN, b"libc.so.7", system=9), False),
        ("build/openbsd/x.node", elf(OWN, b"OpenBSD\0\0\0\0\0libc++.so.9.0"), False),
        ("build/x.node", elf(OWN + 1), False),
        ("build/x.node", elf(OWN << 8 & 0xFFFF, order=">"), False),
        ("build/x.node", b"\xcf\xfa\xed\xfe" + bytes(20), False),
        ("build/x.node", b"MZ" + bytes(20), False),
        ("build/x.node", b"not a library, and long enough", True),
        ("build/x.node", b"", True),
        ("test/fixtures/x.node", b"", False),
        ("test/fixtures/x.node", b"not a library, and long enough", False),
    ],
)
def test_a_native_module_has_to_load_where_itis_for_this_platform(
    tmp_path: Path, path: str, data: bytes, expected: object
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(data)

    assert native.is_for_this_platform(tmp_path, path) is expected


@pytest.mark.parametrize("shift", [0, 1, 5, len(b"OpenBSD\0") - 1, len(b"OpenBSD\0")])
def test_a_mark_across_two_pieces_of_a_large_module_is_found(tmp_path: Path, shift: int) -> None:
    libc = b"libc.musl-" if MUSL else b"libc.so.6"
    header = elf(OWN, libc)
    filler = bytes(native.PIECE - len(header) - shift)
    (tmp_path / "other.node").write_bytes(header + filler + b"OpenBSD\0" + bytes(native.PIECE))
    (tmp_path / "own.node").write_bytes(header + filler + b"OpenBSE\0" + bytes(native.PIECE))

    assert not native.is_for_this_platform(tmp_path, "other.node")
    assert native.is_for_this_platform(tmp_path, "own.node")


@pytest.mark.parametrize(
    ("path", "loaded", "expected"),
    [
        ("a/prebuilds/linux-x64/old.node", ["a/prebuilds/linux-x64/new.node"], True),
        ("a/prebuilds/linux-x64/old.node", ["a/build/Release/x.node"], True),
        ("a/prebuilds/linux-x64/old.node", ["b/prebuilds/linux-x64/new.node"], False),
        ("a/prebuilds/linux-x64/old.node", [], False),
        ("a/build/Release/x.node", ["a/prebuilds/linux-x64/new.node"], False),
    ],
)
def test_one_of_the_modules_that_a_package_has_ready_has_to_load(
    path: str, loaded: list[str], expected: object
) -> None:
    assert native.has_another(path, loaded) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('remove x 1.0.0\n{\n  "remove": []\n}', {"remove": []}),
        ('{"remove": []}', {"remove": []}),
        ('[\n  {"name": "x"}\n]', [{"name": "x"}]),
    ],
)
def test_npm_s_answer_is_read_behind_its_lines_for_people(text: str, expected: object) -> None:
    assert npm.parse("npm prune", text) == expected


@pytest.mark.parametrize("text", ["", "remove x 1.0.0", "{", "[" * 100_000])
def test_an_answer_of_npm_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(errors.SourceUnusable, match="^npm prune: unexpected output"):
        npm.parse("npm prune", text)
