import contextlib
from pathlib import Path

import pytest

from selfdeploy import errors
from selfdeploy.vega import dist


def a_swap(checkout: Path, *, node_modules: bool = True) -> dist.Swap:
    for name in ("dist", *(["node_modules"] if node_modules else [])):
        for place, text in ((checkout, "old"), (dist.room(checkout) / "next", "new")):
            (place / name).mkdir(parents=True)
            (place / name / "file").write_text(text)
    return dist.Swap(checkout=checkout, names=("dist", "node_modules"))


def content(checkout: Path) -> list[str]:
    return [(checkout / name / "file").read_text() for name in ("dist", "node_modules")]


def test_a_swap_puts_the_new_in_and_can_be_undone(tmp_path: Path) -> None:
    swap = a_swap(tmp_path)

    swap.apply()
    after = content(tmp_path)
    dist.recover(tmp_path)
    kept = content(tmp_path)
    swap.undo()

    assert after == kept == ["new", "new"]
    assert content(tmp_path) == ["old", "old"]


@pytest.mark.parametrize("renames", range(4))
def test_a_swap_that_was_killed_half_way_is_undone_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    swap, real, left = a_swap(tmp_path), Path.rename, [renames]

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        swap.apply()
    monkeypatch.undo()

    dist.recover(tmp_path)

    assert content(tmp_path) == ["old", "old"]


@pytest.mark.parametrize("renames", range(7))
def test_an_undo_that_was_killed_half_way_is_finished_by_the_next_command_and_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    swap, real, left = a_swap(tmp_path), Path.rename, [renames]
    swap.apply()

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
    with contextlib.nullcontext() if renames == 6 else pytest.raises(KeyboardInterrupt):
        swap.undo()
    monkeypatch.undo()

    dist.recover(tmp_path)
    dist.recover(tmp_path)

    assert content(tmp_path) == (["new", "new"] if renames == 0 else ["old", "old"])


@pytest.mark.parametrize("told", ['["../../x", "dist"]', "null", "{", "[" * 100_000, '{"dist": 1}', None])
def test_what_the_server_writes_of_a_swap_touches_nothing_else(tmp_path: Path, told: str | None) -> None:
    (tmp_path / "x").mkdir()
    checkout = tmp_path / "sf" / "checkout"
    a_swap(checkout).apply()
    half = dist.room(checkout) / dist.HALF
    half.mkdir() if told is None else half.write_text(told)

    with contextlib.suppress(errors.CommandFailed):
        dist.recover(checkout)

    assert (checkout / "dist" / "file").read_text() == "old"
    assert (tmp_path / "x").is_dir()


def test_builds_that_wait_behind_a_link_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "vega" / "previous").mkdir(parents=True)
    (tmp_path / "sf").mkdir()
    (tmp_path / "sf" / ".selfdeploy").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.MountRefused, match="leads to"):
        dist.recover(tmp_path / "sf")

    assert (tmp_path / "elsewhere" / "vega" / "previous").is_dir()


def test_what_was_not_there_before_is_gone_after_an_undo(tmp_path: Path) -> None:
    swap = a_swap(tmp_path)
    (tmp_path / "dist" / "file").unlink()
    (tmp_path / "dist").rmdir()

    swap.apply()
    swap.undo()

    assert not (tmp_path / "dist").exists()
    assert (tmp_path / "node_modules" / "file").read_text() == "old"
