import json
import os
from pathlib import Path

import pytest

from selfdeploy import tree
from selfdeploy.gates import keeping

SECONDS = {"npm-ci": {"seconds": 3, "passed": True}, "typecheck": {"seconds": 1.5}}


def leave(parent: Path, name: str, told: object, at: int) -> None:
    tree.write_whole(parent / name / "receipt.json", json.dumps(told).encode())
    os.utime(parent / name, (at, at))


def test_times_and_sizes_are_those_of_the_newest_receipt(tmp_path: Path) -> None:
    leave(tmp_path, "a", {"gates": {"npm-ci": {"seconds": 9}}, "bytes": {"export": 1}}, 100)
    leave(tmp_path, "b", {"gates": SECONDS, "bytes": {"export": 2000, "ship": 500}}, 200)
    (tmp_path / "c").mkdir()

    assert keeping.read_seconds(tmp_path) == {"npm-ci": 3.0, "typecheck": 1.5}
    assert keeping.read_sizes(tmp_path) == {"export": 2000, "ship": 500}


@pytest.mark.parametrize(
    "told", [[], {}, {"gates": [], "bytes": 3}, {"gates": {"npm-ci": 3, "x": {"seconds": "long"}}, "bytes": {"e": "x"}}]
)
def test_a_receipt_of_another_shape_tells_neither(tmp_path: Path, told: object) -> None:
    leave(tmp_path, "a", told, 100)

    assert keeping.read_seconds(tmp_path) == {}
    assert keeping.read_sizes(tmp_path) == {}


def test_where_there_is_no_receipt_nothing_is_known(tmp_path: Path) -> None:
    assert keeping.read_seconds(tmp_path / "gone") == {}
    assert keeping.read_sizes(tmp_path) == {}


def test_files_and_their_bytes_are_counted_without_following_links(tmp_path: Path) -> None:
    tree.write_whole(tmp_path / "a" / "b" / "c", b"12345")
    (tmp_path / "link").symlink_to("/")

    assert keeping.measure(tmp_path) == (2, 5 + 1)
