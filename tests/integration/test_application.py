"""The application that the bench makes at the real one's size."""

import json
from pathlib import Path

from benchmarks.application import Maker, describe


def test_the_application_follows_from_its_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        Maker(seed=seed, scale=0.002).make(tmp_path / name)

    one, again, other = (describe(tmp_path / name) for name in ("one", "again", "other"))

    assert one == again
    assert one["sha256"] != other["sha256"]


def test_the_application_has_what_the_real_one_has(tmp_path: Path) -> None:
    Maker(seed=1, scale=0.002).make(tmp_path / "made")
    modules = tmp_path / "made" / "made" / "npm-ci" / "node_modules"
    lock = json.loads((tmp_path / "made" / "sf" / "package-lock.json").read_bytes())["packages"]

    names = {path.name for path in modules.iterdir() if not path.name.startswith((".", "@"))}

    assert {f"node_modules/{name}" for name in names} <= set(lock)
    assert all(path.is_symlink() for path in (modules / "@app").iterdir())
    assert any(modules.rglob("*.node"))
