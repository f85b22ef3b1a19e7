"""The commits that a release brings, asked of real git."""

from pathlib import Path

import pytest

from lab import children
from lab.checkout import Checkout
from selfdeploy.source import commits


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout.create(tmp_path / "sf")


def test_commits_are_listed_newest_first_in_the_direction_that_they_are_gone(checkout: Checkout) -> None:
    one = checkout.git("rev-parse", "HEAD")
    two, three = checkout.commit("two"), checkout.commit("three: \x1b[31mred")

    forward, back = (commits.between(checkout.folder, *pair) for pair in ((one, three), (three, one)))

    assert forward[0] == f"from {one[:12]} to {three[:12]}: 2 commits forward"
    assert [line.split()[:2] for line in forward[1:]] == [["+", three[:12]], ["+", two[:12]]]
    assert back[0] == f"from {three[:12]} to {one[:12]}: 2 commits back"
    assert [line.split()[0] for line in back[1:]] == ["-", "-"]
    assert commits.between(checkout.folder, one, one) == ()


def test_another_branch_leaves_commits_behind_and_brings_others(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "-b", "left")
    left = checkout.commit("left")
    checkout.git("checkout", "--quiet", "-b", "right", "HEAD~1")
    right = checkout.commit("right")

    told = commits.between(checkout.folder, left, right)

    assert told[0] == f"from {left[:12]} to {right[:12]}: 1 commit back, 1 commit forward"
    assert [line.split()[:3] for line in told[1:]] == [["-", left[:12], "left"], ["+", right[:12], "right"]]


def test_many_commits_are_counted_and_the_newest_listed(checkout: Checkout) -> None:
    first = checkout.git("rev-parse", "HEAD")
    last = [checkout.commit(f"number {number}") for number in range(12)][-1]

    told = commits.between(checkout.folder, first, last)

    assert told[0].endswith("12 commits forward")
    assert len(told) == 1 + commits.SHOWN + 1
    assert told[-1] == "  + and 2 more"


@pytest.mark.parametrize("setting", ["log.showSignature=true", "color.ui=always", "log.decorate=full"])
def test_a_person_s_settings_of_git_change_nothing(checkout: Checkout, setting: str) -> None:
    first = checkout.git("rev-parse", "HEAD")
    last = checkout.commit("two")
    plain = commits.between(checkout.folder, first, last)
    checkout.git("config", *setting.split("="))

    assert commits.between(checkout.folder, first, last) == plain


def test_a_clone_that_lacks_the_commits_says_so(checkout: Checkout, tmp_path: Path) -> None:
    first = checkout.git("rev-parse", "HEAD")
    last = checkout.commit("two")
    shallow = tmp_path / "shallow"
    children.run(["git", "clone", "--quiet", "--depth=1", f"file://{checkout.folder}", str(shallow)], timeout=60)

    absent = (f"from {first[:12]} to {last[:12]}: this clone does not have the commits between",)

    assert commits.between(shallow, first, last) == absent
    assert commits.between(checkout.folder, "f" * 40, last)[0].endswith("does not have the commits between")
