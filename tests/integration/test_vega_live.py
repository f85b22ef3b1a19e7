"""The live checkout as git sees it: a real git, and no engine."""

from pathlib import Path

import pytest

from lab.checkout import Checkout
from selfdeploy import errors, source
from selfdeploy.source import git
from selfdeploy.vega import live


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout.create(tmp_path / "a:b, c" / "sf")


def test_a_clean_checkout_is_its_revision(checkout: Checkout) -> None:
    made = live.read(checkout.folder)

    assert made.dirty is False
    assert made.revision.commit == checkout.git("rev-parse", "HEAD")
    assert made.revision.tree == checkout.git("rev-parse", "HEAD^{tree}")


def test_whatever_is_not_the_revision_s_is_seen_but_what_git_ignores(checkout: Checkout) -> None:
    folder = checkout.folder
    (folder / "build.mjs").chmod(0o755)
    (folder / "package.json").unlink()
    (folder / "new\nline ü").write_text("untracked")
    (folder / "staged").write_text("staged")
    checkout.git("add", "staged")
    (folder / "staged").write_text("and changed")
    (folder / "dist").mkdir()
    (folder / "dist" / "ignored").write_text("built")
    before = (
        (folder / ".git" / "index").read_bytes(),
        checkout.git("status", "--porcelain"),
        checkout.git("count-objects"),
    )

    made = live.read(folder)

    assert made.changed == ("build.mjs", "new\nline ü", "package.json", "staged")
    assert live.read(folder) == made
    assert before == (
        (folder / ".git" / "index").read_bytes(),
        checkout.git("status", "--porcelain"),
        checkout.git("count-objects"),
    )


def test_the_copy_to_build_in_is_the_files_as_they_were(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.edit("one", "two")
    made = live.read(checkout.folder, objects=tmp_path / "objects")
    checkout.edit("two", "three")

    monkeypatch.setenv(git.OBJECTS, live.quoted(tmp_path / "objects"))
    source.export(made.revision, tmp_path / "copy")

    assert 'WORD = "two"' in (tmp_path / "copy" / "server.cjs").read_text()


def test_a_folder_of_a_repository_is_told_from_its_neighbours(checkout: Checkout) -> None:
    inner = checkout.folder / "apps" / "sf"
    inner.mkdir(parents=True)
    (inner / "file").write_text("1")
    checkout.commit("two")
    (checkout.folder / "elsewhere").write_text("not of it")

    clean = live.read(inner)
    (inner / "file").write_text("2")

    assert clean.dirty is False
    assert clean.revision.tree == checkout.git("rev-parse", "HEAD:apps/sf")
    assert live.read(inner).changed == ("file",)


def test_a_git_hook_s_variables_name_no_other_repository(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Checkout.create(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    (checkout.folder / "new").touch()

    assert live.read(checkout.folder).changed == ("new",)


def test_a_linked_work_tree_works(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    (tmp_path / "linked" / "new").touch()

    assert live.read(tmp_path / "linked").changed == ("new",)
    assert live.read(checkout.folder).dirty is False


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceUnusable, match="no-such"):
        live.read(tmp_path / "no-such")
    with pytest.raises(errors.SourceUnusable):
        live.read(tmp_path)
