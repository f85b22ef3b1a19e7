import contextlib
import json
import shutil
from pathlib import Path

import pytest

from selfdeploy import errors
from selfdeploy.vega import swap

NAMES = ("dist", "packages/a/dist")


def a_swap(checkout: Path) -> swap.Swap:
    for name in NAMES:
        for place, text in ((checkout, "old"), (swap.room(checkout) / "next", "new")):
            (place / name).mkdir(parents=True)
            (place / name / "file").write_text(text)
    (checkout / "packages" / "gone").mkdir()
    (checkout / "packages" / "gone" / "index.js").write_text("old")
    return swap.Swap(checkout=checkout, names=NAMES, stale=("packages/gone/index.js",))


def content(checkout: Path) -> list[str]:
    gone = (checkout / "packages" / "gone" / "index.js").exists()
    return [*((checkout / name / "file").read_text() for name in NAMES), *(["gone"] if not gone else [])]


NEW, OLD = ["new", "new", "gone"], ["old", "old"]


def test_a_swap_puts_the_new_in_and_can_be_undone(tmp_path: Path) -> None:
    build = a_swap(tmp_path)

    build.apply()
    after = content(tmp_path)
    swap.recover(tmp_path)
    kept = content(tmp_path)
    build.undo()

    assert after == kept == NEW
    assert content(tmp_path) == OLD


@pytest.mark.parametrize("renames", range(6))
def test_a_swap_that_was_killed_half_way_is_undone_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    build, real, left = a_swap(tmp_path), Path.rename, [renames]

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        build.apply()
    monkeypatch.undo()

    swap.recover(tmp_path)

    assert content(tmp_path) == OLD


@pytest.mark.parametrize("renames", range(8))
def test_an_undo_writes_no_file_and_the_next_command_finishes_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    build, real, left = a_swap(tmp_path), Path.rename, [renames]
    build.apply()

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with contextlib.nullcontext() if renames == 7 else pytest.raises(KeyboardInterrupt):
        build.undo()
    monkeypatch.undo()

    swap.recover(tmp_path)
    swap.recover(tmp_path)

    assert content(tmp_path) == (NEW if renames == 0 else OLD)


HOSTILE = json.dumps({"names": ["../../x", "out/x", ".git/config", "", ".", 1, "dist"], "stale": ["/x", "../../x"]})


@pytest.mark.parametrize("told", [HOSTILE, '["../../x", "dist"]', "null", "{", "[" * 100_000, '{"dist": 1}', None])
def test_what_the_server_writes_of_a_swap_touches_nothing_else(tmp_path: Path, told: str | None) -> None:
    (tmp_path / "x").mkdir()
    checkout = tmp_path / "sf" / "checkout"
    a_swap(checkout).apply()
    (checkout / "out").symlink_to(tmp_path)
    (checkout / ".git").mkdir()
    (checkout / ".git" / "config").touch()
    half = swap.room(checkout) / swap.HALF
    half.mkdir() if told is None else half.write_text(told)

    with contextlib.suppress(errors.CommandFailed):
        swap.recover(checkout)

    assert (checkout / "dist" / "file").read_text() == "old"
    assert (tmp_path / "x").is_dir()
    assert (checkout / ".git" / "config").is_file()


def test_builds_that_wait_behind_a_link_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "vega" / "previous").mkdir(parents=True)
    (tmp_path / "sf").mkdir()
    (tmp_path / "sf" / ".selfdeploy").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.MountRefused, match="leads to"):
        swap.recover(tmp_path / "sf")

    assert (tmp_path / "elsewhere" / "vega" / "previous").is_dir()


def test_what_was_not_there_before_is_gone_after_an_undo(tmp_path: Path) -> None:
    build = a_swap(tmp_path)
    shutil.rmtree(tmp_path / "dist")

    build.apply()
    build.undo()

    assert not (tmp_path / "dist").exists()
    assert (tmp_path / "packages" / "a" / "dist" / "file").read_text() == "old"


def test_a_link_to_nowhere_is_swapped_and_comes_back(tmp_path: Path) -> None:
    build = a_swap(tmp_path)
    shutil.rmtree(tmp_path / "dist")
    (tmp_path / "dist").symlink_to("nowhere")

    build.apply()
    after = content(tmp_path)
    build.undo()

    assert after == NEW
    assert (tmp_path / "dist").readlink() == Path("nowhere")


def test_a_swap_that_an_earlier_version_began_is_undone(tmp_path: Path) -> None:
    a_swap(tmp_path).apply()
    (swap.room(tmp_path) / swap.DONE).unlink()
    (swap.room(tmp_path) / swap.HALF).write_text('["dist"]')

    swap.recover(tmp_path)

    assert (tmp_path / "dist" / "file").read_text() == "old"
