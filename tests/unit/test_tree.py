import atexit
import errno
import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from selfdeploy import tree


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def rewrite(root: Path) -> None:
    (root / "a").write_text("y")


def rename(root: Path) -> None:
    (root / "a").rename(root / "b")


def make_executable(root: Path) -> None:
    (root / "a").chmod(0o755)


def add_a_folder(root: Path) -> None:
    (root / "empty").mkdir()


def add_a_link(root: Path) -> None:
    (root / "b").symlink_to("a")


def become_a_link(root: Path) -> None:
    (root / "a").unlink()
    (root / "a").symlink_to("x")


@pytest.mark.parametrize("change", [rewrite, rename, make_executable, add_a_folder, add_a_link, become_a_link])
def test_a_digest_sees_content_name_mode_and_kind(tmp_path: Path, change: Callable[[Path], None]) -> None:
    before = tree.digest(write(tmp_path, a="x"))

    change(tmp_path)

    assert tree.digest(tmp_path) != before


def test_a_digest_sees_where_a_link_leads(tmp_path: Path) -> None:
    for name, target in (("one", "a"), ("two", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "link").symlink_to(target)

    assert tree.digest(tmp_path / "one") != tree.digest(tmp_path / "two")


def test_equal_trees_have_equal_digests_wherever_and_whenever_they_were_made(tmp_path: Path) -> None:
    one = write(tmp_path / "one", **{"a": "x", "b/c": "y", "b-d": "z"})
    two = write(tmp_path / "two", **{"b-d": "z", "b/c": "y", "a": "x"})
    os.utime(one / "a", (0, 0))

    assert tree.digest(one) == tree.digest(two)


def test_a_file_is_written_whole_over_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"

    tree.write_whole(path, b"one")
    tree.write_whole(path, b"two")

    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_process_that_was_killed_left_half_written_goes_with_the_next_write(tmp_path: Path) -> None:
    alive, others = f".file.{os.getppid()}", {".file.2-old", ".env.20261120", ".other.4194999"}
    for left in (".file.4194999", alive, *others):
        (tmp_path / left).write_bytes(b"half")

    tree.write_whole(tmp_path / "file", b"whole")

    assert {found.name for found in tmp_path.iterdir()} == {alive, "file", *others}


def test_a_folder_that_may_linger_is_deleted_when_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(
        atexit, "register", lambda call, *given, **named: at_exit.append(functools.partial(call, *given, **named))
    )

    with tree.scratch(tmp_path, "pack", linger=True) as made:
        (made / "file").touch()
    assert (made / "file").exists()
    at_exit[0]()

    assert not made.exists()


def test_the_scratch_of_a_process_that_was_killed_goes_with_the_next_one(tmp_path: Path) -> None:
    for left in ("base-4194999-x", f"base-{os.getpid()}-x", "other-4194999-x", "not-made-here"):
        (tmp_path / left).mkdir()

    with tree.scratch(tmp_path, "base") as made:
        assert made.is_dir()

    assert sorted(found.name for found in tmp_path.iterdir()) == [f"base-{os.getpid()}-x", "not-made-here"]


def test_a_sweep_leaves_other_names_other_users_folders_and_link_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write(tmp_path / "elsewhere", file="x")
    swept = tmp_path / "swept"
    for left in (
        "mine-7-4194999-x",
        "mine-7-4194999-",
        "mine-8-4194999-x",
        "base-4194999-x",
        f"mine-7-{os.getpid()}-x",
    ):
        write(swept / left, api="x")
    (swept / "mine-7-4194998-x").symlink_to(kept)

    tree.sweep(swept, "mine-7")
    mine = {found.name for found in swept.iterdir()}
    write(swept / "mine-7-4194999-x", api="x")
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    tree.sweep(swept, "mine-7")

    expected = {"base-4194999-x", "mine-7-4194998-x", "mine-7-4194999-", f"mine-7-{os.getpid()}-x", "mine-8-4194999-x"}
    assert mine == expected
    assert [found.name for found in kept.iterdir()] == ["file"]
    assert (swept / "mine-7-4194999-x").exists()


def test_a_temporary_folder_is_its_owner_s_alone_and_the_killed_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with tree.temporary() as folder:
        made = Path(folder).name
        mode = Path(folder).stat().st_mode & 0o777
    killed = write(tmp_path / made.replace(f"-{os.getpid()}-", "-4194999-"), api="x")
    elsewhere = write(tmp_path / f"selfdeploy-1-4194999-{made.rpartition('-')[2]}", api="x")

    with tree.temporary() as folder:
        there = {found.name for found in tmp_path.iterdir()}

    assert mode == 0o700
    assert f"-{os.getpid()}-" in made
    assert killed.name != made
    assert there == {Path(folder).name, elsewhere.name}


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write(path, old="x")

    with pytest.raises(OSError, match="folder"):
        tree.write_whole(path, b"new")

    assert [found.name for found in tmp_path.rglob("*")] == ["folder", "old"]


def test_a_disk_that_is_full_is_told_by_the_file_that_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write(tmp_path, file="x") / "file"
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left") as failed:
        tree.write_whole(path, b"new")

    assert failed.value.filename == str(path)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("file", "x")]


def test_a_folder_for_working_files_is_hidden_from_git_once(tmp_path: Path) -> None:
    tree.hide(tmp_path / "one")
    (tmp_path / ".gitignore").write_text("mine")
    tree.hide(tmp_path)

    assert (tmp_path / "one" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".gitignore").read_text() == "mine"
