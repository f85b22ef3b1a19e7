"""What a revision holds besides files: an export has what a clone has, or refuses at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import children
from lab.checkout import Checkout
from selfdeploy import errors, source

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n" + "x" * 40
ALLOWED = ("-c", "protocol.file.allow=always")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout.create(tmp_path / "sf")


@pytest.fixture
def outer(checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout with a submodule at libs/outer, and one in that at inner."""
    inner, outer = Checkout.create(tmp_path / "inner"), Checkout.create(tmp_path / "outer")
    (inner.folder / "deep.txt").write_text("deep")
    inner.commit("deep")
    outer.add_submodule("inner", inner.folder)
    checkout.add_submodule("libs/outer", outer.folder)
    return checkout


def add_orphan(checkout: Checkout, path: str) -> None:
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{path}")
    (checkout.folder / path).mkdir(parents=True)
    checkout.git("commit", "--quiet", "--message", "an orphan")


def test_a_commit_that_nothing_names_is_an_empty_folder_as_in_a_clone(checkout: Checkout, tmp_path: Path) -> None:
    add_orphan(checkout, "docs/site")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(checkout.folder), str(clone)], check=True)

    revision = source.read(clone)
    source.refuse_dirty(revision)
    found = source.export(revision, tmp_path / "export")

    assert found.empty == ("docs/site",)
    assert list((tmp_path / "export" / "docs" / "site").iterdir()) == []
    kept = {path.relative_to(clone) for path in clone.rglob("*") if ".git" not in path.parts}
    assert {path.relative_to(tmp_path / "export") for path in (tmp_path / "export").rglob("*")} == kept


def test_a_submodule_is_refused_by_name_unless_it_is_to_be_exported(outer: Checkout, tmp_path: Path) -> None:
    add_orphan(outer, "orphan")

    with pytest.raises(errors.SourceUnusable, match="^libs/outer: a submodule$") as refused:
        source.export(source.read(outer.folder), tmp_path / "export")

    assert "source.submodules" in refused.value.hint
    assert not (tmp_path / "export").exists()


def test_the_files_of_submodules_are_those_of_the_recorded_commits(outer: Checkout, tmp_path: Path) -> None:
    revision = source.read(outer.folder, submodules="checkout")
    (outer.folder / "libs" / "outer" / "inner" / "deep.txt").write_text("changed")
    (outer.folder / "libs" / "outer" / "new.txt").write_text("new")

    source.export(revision, tmp_path / "export")

    exported = tmp_path / "export" / "libs" / "outer"
    assert (exported / "inner" / "deep.txt").read_text() == "deep"
    assert (exported / "package.json").exists()
    assert not (exported / "new.txt").exists()
    assert not list((tmp_path / "export").rglob(".git"))


@pytest.mark.parametrize("path", ["libs/outer/package.json", "libs/outer/new.txt", "libs/outer/inner/deep.txt"])
def test_what_has_changed_in_a_submodule_is_uncommitted_whatever_its_settings_hide(outer: Checkout, path: str) -> None:
    outer.git("config", "--file", ".gitmodules", "submodule.libs/outer.ignore", "all")
    outer.commit("hide it")
    revision = source.read(outer.folder, submodules="checkout")
    source.refuse_dirty(revision)

    (outer.folder / path).write_text("changed")

    with pytest.raises(errors.CheckoutDirty, match="libs/outer"):
        source.refuse_dirty(revision)


def test_another_commit_in_a_submodule_than_the_recorded_is_uncommitted(outer: Checkout) -> None:
    Checkout(outer.folder / "libs" / "outer").git("commit", "--quiet", "--allow-empty", "--message", "two")

    with pytest.raises(errors.CheckoutDirty, match="libs/outer"):
        source.refuse_dirty(source.read(outer.folder, submodules="checkout"))


@pytest.mark.parametrize("path", ["libs/outer", "libs/outer/inner"])
def test_a_submodule_that_is_not_initialized_is_refused_with_what_does_it(
    outer: Checkout, tmp_path: Path, path: str
) -> None:
    name = path.rpartition("/")[2]
    owner, inside = (outer.folder, path) if name == "outer" else (outer.folder / "libs" / "outer", name)
    Checkout(owner).git("submodule", "--quiet", "deinit", "--force", inside)
    add_orphan(outer, "a-orphan")

    with pytest.raises(errors.SourceUnusable, match=f"^{path}: a submodule that is not initialized") as refused:
        source.export(source.read(outer.folder, submodules="checkout"), tmp_path / "export")

    assert refused.value.hint == f"git -C {owner} submodule update --init --recursive -- {inside}"
    subprocess.run(["git", *ALLOWED, *refused.value.hint.split()[1:]], check=True, capture_output=True)
    source.export(source.read(outer.folder, submodules="checkout"), tmp_path / "export")


def test_a_clone_of_a_submodule_without_the_recorded_commit_is_refused(outer: Checkout, tmp_path: Path) -> None:
    outer.git("update-index", "--cacheinfo", f"160000,{'1' * 40},libs/outer")
    outer.git("commit", "--quiet", "--message", "a commit that nobody has")

    with pytest.raises(errors.SourceUnusable, match=f"libs/outer: its clone does not have {'1' * 40}"):
        source.export(source.read(outer.folder, submodules="checkout"), tmp_path / "export")


def test_a_submodule_of_a_folder_of_a_larger_repository_is_found(outer: Checkout, tmp_path: Path) -> None:
    (outer.folder / "libs" / "own.txt").write_text("own")
    outer.commit("a file beside it")

    source.export(source.read(outer.folder / "libs", submodules="checkout"), tmp_path / "export")

    assert (tmp_path / "export" / "outer" / "inner" / "deep.txt").read_text() == "deep"


@pytest.mark.parametrize("name", ["large.bin", "deep/large file.bin"])
def test_a_pointer_of_git_lfs_is_refused_before_anything_is_exported(
    checkout: Checkout, tmp_path: Path, name: str
) -> None:
    (checkout.folder / name).parent.mkdir(exist_ok=True)
    (checkout.folder / name).write_text(POINTER)
    (checkout.folder / "other.txt").write_text("y" * len(POINTER))
    checkout.commit("a pointer")

    with pytest.raises(errors.SourceUnusable, match=f"^{name}: an LFS pointer$"):
        source.export(source.read(checkout.folder), tmp_path / "export")

    assert not (tmp_path / "export").exists()


def test_an_outline_has_the_files_and_their_bytes(checkout: Checkout) -> None:
    kept = [path for path in checkout.folder.rglob("*") if path.is_file() and ".git" not in path.parts]

    found = source.outline(source.read(checkout.folder))

    assert (found.files, found.size) == (len(kept), sum(path.stat().st_size for path in kept))


def test_plan_names_an_empty_folder_and_what_cannot_be_exported(checkout: Checkout, tmp_path: Path) -> None:
    add_orphan(checkout, "docs/site")
    (tmp_path / "tasks.py").write_text("from selfdeploy.tasks import namespace as namespace\n")
    port = children.free_port()
    (tmp_path / "deploy.toml").write_text(
        f'[source]\npath = "sf"\n[image]\nrepository = "127.0.0.1:{port}/sf"\n'
        f'[environments.test]\nkind = "compose"\nproject = "sf-{port}"\nport = {port}\n'
    )

    def plan() -> str:
        argv = [sys.executable, "-m", "invoke", "plan"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
        return done.stdout.splitlines()[0]

    clean = plan()
    (checkout.folder / "large.bin").write_text(POINTER)
    checkout.commit("a pointer")
    pointer = plan()

    assert clean.startswith("source     done")
    assert "docs/site: empty, as in a clone" in clean
    assert pointer.startswith("source     blocked")
    assert "large.bin: an LFS pointer" in pointer
