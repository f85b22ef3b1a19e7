"""Hints name only what the installation has."""

from pathlib import Path

import pytest

from lab.site import ROOT
from selfdeploy import errors
from selfdeploy.shipped import guide


def test_a_page_is_read_by_its_name_and_any_other_name_lists_them() -> None:
    assert guide.read("operations").startswith("# Operations\n")
    assert guide.topics()["vega"].startswith("Vega")
    for name in ("nonsense", "../README", ""):
        with pytest.raises(errors.ConfigInvalid) as caught:
            guide.read(name)
        assert "operations" in caught.value.hint


@pytest.mark.parametrize(
    ("hint", "elsewhere"),
    [
        ("docs/contract.md says what each clause asks", "selfdeploy help contract says what each clause asks"),
        ("run npm install (docs/contract.md#s4-web-lock)", "run npm install (selfdeploy help contract)"),
        ("start it (./bootstrap does), or name another", "start it, or name another"),
        ("run ./bootstrap --check", "selfdeploy doctor says what is missing"),
        ("./bootstrap --check says what to install", "selfdeploy doctor says what is missing"),
        ("inv plan", "inv plan"),
    ],
)
def test_a_hint_names_files_only_where_they_are(hint: str, elsewhere: str, tmp_path: Path) -> None:
    assert guide.fit(hint, ROOT) == hint
    assert guide.fit(hint, tmp_path) == elsewhere


def test_a_folder_with_files_of_the_same_names_is_no_checkout_of_ours(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "contract.md").touch()
    (tmp_path / "bootstrap").touch()

    assert guide.fit("docs/contract.md; run ./bootstrap --check", tmp_path) == (
        "selfdeploy help contract; selfdeploy doctor says what is missing"
    )


def test_a_hint_is_given_also_where_the_folder_one_stands_in_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert guide.fit("docs/contract.md") == "selfdeploy help contract"
