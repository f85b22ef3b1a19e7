from pathlib import Path

from selfdeploy import tree
from selfdeploy.gates import usage
from selfdeploy.gates.usage import Usage

MIB = 1 << 20


def test_working_files_take_what_the_disk_has_of_them_by_room_and_once(tmp_path: Path) -> None:
    tree.write_whole(tmp_path / "trees" / "a" / "file", b"x" * MIB)
    tree.write_whole(tmp_path / "trees" / "b" / "file", b"x" * MIB)
    (tmp_path / "trees" / "b" / "again").hardlink_to(tmp_path / "trees" / "b" / "file")
    tree.write_whole(tmp_path / "npm" / "deep" / "file", b"x" * 2 * MIB)
    (tmp_path / "elsewhere").symlink_to("/")

    found = usage.read(tmp_path)

    assert set(found.entries) == {"trees/a", "trees/b", "npm", "elsewhere"}
    assert [round(found.entries[name] / MIB) for name in ("trees/a", "trees/b", "npm", "elsewhere")] == [1, 1, 2, 0]
    assert found.total == sum(found.entries.values())
    assert found.as_data()["bytes"] == found.total


def test_the_largest_comes_first_and_what_is_small_is_only_in_the_sum() -> None:
    found = Usage(folder=Path("/p/.selfdeploy"), entries={"npm": 20 * MIB, "trees/a": 2355 * MIB, "evidence": 4096})

    assert str(found).splitlines() == ["/p/.selfdeploy  2.3 GiB", "    2.3 GiB  trees/a", "     20 MiB  npm"]


def test_without_working_files_there_is_nothing(tmp_path: Path) -> None:
    assert usage.read(tmp_path / "gone").total == 0


def test_a_folder_that_cannot_be_read_takes_itself(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    tree.write_whole(tmp_path / "locked" / "file", b"x")
    (tmp_path / "locked").chmod(0)

    assert "locked" in usage.read(tmp_path).entries

    (tmp_path / "locked").chmod(0o700)
