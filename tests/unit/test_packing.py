"""A gated tree as the context of a build."""

import os
from pathlib import Path

import pytest

from selfdeploy import tree
from selfdeploy.build.builders import context, layering, packing

EPOCH = 1_700_000_000


def a_root(folder: Path) -> Path:
    """Return a root in FOLDER with packages, packages of the web host, and an application."""
    files = {
        "node_modules/a/index.js": "a",
        "node_modules/.bin/a": "#!a",
        "node_modules/.package-lock.json": "1.0.0",
        "dist/web/standalone/node_modules/next/index.js": "next",
        "dist/web/standalone/server.js": "server",
        "dist/loader.js": "loader",
        "package.json": "{}",
    }
    for name, content in files.items():
        path = folder / "opt" / "sf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "opt/sf/node_modules/.bin/a").chmod(0o700)
    (folder / "opt/sf/node_modules/linked").symlink_to("../dist")
    (folder / "opt/sf/empty").mkdir()
    return folder


def pack(root: Path, to: Path, epoch: int = EPOCH, whole: str = "") -> packing.Packed:
    """Return ROOT packed in a new folder below TO."""
    return packing.pack(root / "opt" / "sf", root, to / "context", epoch, whole=whole)


def files(packed: packing.Packed) -> dict[str, set[str]]:
    """Return the paths of what is no folder, by layer."""
    found = {}
    for folder in packed.folders:
        paths = [path for path in (packed.context / folder).rglob("*") if path.is_symlink() or path.is_file()]
        layer = folder.rpartition("-")[0]
        found[layer] = {path.relative_to(packed.context / folder / "opt" / "sf").as_posix() for path in paths}
    return found


def test_packages_and_the_rest_get_folders_of_their_own(tmp_path: Path) -> None:
    packed = pack(a_root(tmp_path / "root"), tmp_path)

    assert files(packed) == {
        "packages": {"node_modules/a/index.js", "node_modules/.bin/a", "node_modules/linked"},
        "inner-packages": {"dist/web/standalone/node_modules/next/index.js"},
        "application": {
            "node_modules/.package-lock.json",
            "dist/web/standalone/server.js",
            "dist/loader.js",
            "package.json",
        },
    }
    assert (packed.context / packed.folders[2] / "opt/sf/empty").is_dir()


def test_the_digest_is_the_package_s_however_it_is_packed(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")

    assert pack(root, tmp_path / "1").digest == tree.digest(root / "opt" / "sf")
    assert pack(root, tmp_path / "2", whole="all").digest == tree.digest(root / "opt" / "sf")
    assert pack(root, tmp_path / "3", whole="all").folders == ("all",)


def test_another_commit_of_equal_packages_changes_the_name_of_the_application_alone(tmp_path: Path) -> None:
    first, second = a_root(tmp_path / "1" / "root"), a_root(tmp_path / "2" / "root")
    (second / "opt/sf/dist/loader.js").write_text("another")
    (second / "opt/sf/node_modules/.package-lock.json").write_text("1.0.1")
    for root in (first, second):
        for modules in ("node_modules", "dist/web/standalone/node_modules"):
            build = root / "opt/sf" / modules / "pty" / "build"
            (build / "Release").mkdir(parents=True)
            (build / "Release" / "pty.node").write_text("equal")
            (build / "config.gypi").write_text(f'{{"prefix": "{root}"}}')

    one, two = pack(first, tmp_path / "1"), pack(second, tmp_path / "2", EPOCH + 60)

    assert one.folders[:2] == two.folders[:2]
    assert one.folders[2] != two.folders[2]


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda package: (package / "node_modules/a/index.js").write_text("b"), 0),
        (lambda package: (package / "node_modules/a/index.js").chmod(0o755), 0),
        (lambda package: (package / "node_modules/a/more").mkdir(), 0),
        (lambda package: (package / "dist/web/standalone/node_modules/next/index.js").unlink(), 1),
        (lambda package: (package / "empty").rmdir(), 2),
    ],
)
def test_whatever_changes_a_layer_changes_its_name_and_no_other(tmp_path: Path, change: object, changed: int) -> None:
    first, second = a_root(tmp_path / "1" / "root"), a_root(tmp_path / "2" / "root")
    assert callable(change)
    change(second / "opt" / "sf")

    one, two = pack(first, tmp_path / "1"), pack(second, tmp_path / "2")

    assert [here == there for here, there in zip(one.folders, two.folders, strict=True)] == [
        place != changed for place in range(3)
    ]


def test_a_commit_s_time_is_on_the_files_and_changes_the_application_s_name(tmp_path: Path) -> None:
    one = pack(a_root(tmp_path / "1" / "root"), tmp_path / "1")
    two = pack(a_root(tmp_path / "2" / "root"), tmp_path / "2", EPOCH + 1)

    assert one.folders[2] != two.folders[2]
    assert (one.context / one.folders[2] / "opt/sf/dist/loader.js").stat().st_mtime == EPOCH


def test_times_and_modes_are_the_image_s(tmp_path: Path) -> None:
    packed = pack(a_root(tmp_path / "root"), tmp_path)

    packages, inner, application = (packed.context / folder for folder in packed.folders)
    steady = [packages, *packages.rglob("*"), inner, *inner.rglob("*")]
    files = [
        application / "opt/sf",
        application / "opt/sf/dist/loader.js",
        application / "opt/sf/node_modules",
        application,
    ]
    assert {path.lstat().st_mtime for path in steady} == {layering.PACKED}
    assert {path.lstat().st_mtime for path in files} == {EPOCH}
    assert ((packed.context / packed.folders[0] / "opt/sf/node_modules/.bin/a").stat().st_mode & 0o777) == 0o755


def test_a_tree_without_packages_is_one_layer(tmp_path: Path) -> None:
    package = tmp_path / "root" / "opt" / "sf"
    package.mkdir(parents=True)
    (package / "package.json").write_text("{}")

    assert [folder.partition("-")[0] for folder in pack(tmp_path / "root", tmp_path).folders] == ["application"]


def test_what_is_packed_is_linked_and_the_root_stays(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")
    packed = pack(root, tmp_path)

    there = packed.context / packed.folders[2] / "opt/sf/dist/loader.js"

    assert there.samefile(root / "opt/sf/dist/loader.js")


def write_and_set_the_time_back(packed: packing.Packed) -> None:
    path = packed.context / packed.folders[0] / "opt/sf/node_modules/a/index.js"
    before = path.stat()
    path.write_text("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        write_and_set_the_time_back,
        lambda packed: (packed.context / packed.folders[2] / "opt/sf/more.js").write_text("more"),
        lambda packed: (packed.context / packed.folders[2] / "opt/sf/dist/loader.js").unlink(),
        lambda packed: (packed.context / packed.folders[0] / "opt/sf/node_modules/a/index.js").chmod(0o755),
    ],
)
def test_a_change_while_it_is_packed_shows(tmp_path: Path, change: object) -> None:
    packed = pack(a_root(tmp_path / "root"), tmp_path)
    assert packed.is_unchanged()
    assert callable(change)

    change(packed)

    assert not packed.is_unchanged()


def test_another_link_to_a_file_is_no_change_of_it(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")
    packed = pack(root, tmp_path)

    pack(root, tmp_path / "meanwhile")

    assert packed.is_unchanged()


def test_a_dockerfile_with_an_ignore_file_beside_it_gets_the_tree_whole(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x\nARG TREE=.\nCOPY ${TREE} /\n")
    assert context.takes_layers(dockerfile)

    (tmp_path / "Dockerfile.dockerignore").write_text("*.map\n")

    assert not context.takes_layers(dockerfile)


def test_the_dockerfile_with_layers_is_written_apart_and_takes_its_context_whole(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x\nARG TREE=.\nCOPY ${TREE} /\n")
    (tmp_path / "made").mkdir()

    written = context.write_layered(dockerfile, ["a-1", "b-2"], tmp_path / "made")

    assert written.read_text() == "FROM x\nCOPY a-1 /\nCOPY b-2 /\n"
    assert dockerfile.read_text() == "FROM x\nARG TREE=.\nCOPY ${TREE} /\n"
    assert context.of(tmp_path / "context", written) == (tmp_path / "context", {})


def test_contexts_of_one_project_have_one_name() -> None:
    assert context.name("r/sf", Path("/a")) == context.name("r/sf", Path("/a")) != context.name("r/sf", Path("/b"))
