"""Git, whatever a person has configured and exported: the same revision, and the bytes of a checkout."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import needed
from selfdeploy import errors, source
from selfdeploy.process import surroundings

# Git.


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, as its person has configured it; `git` in HOME's configuration is theirs too."""
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "t")
        monkeypatch.setenv(f"{name}_EMAIL", "t@localhost")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    return folder


def git(folder: Path, *argv: str) -> str:
    done = subprocess.run(["git", *argv], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, files: Mapping[str, str], *argv: str) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one", *argv)


def configure(folder: Path, **settings: str) -> None:
    for name, value in settings.items():
        git(folder, "config", name.replace("__", "."), value)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def test_a_signed_head_is_read_by_who_is_shown_signatures(checkout: Path, tmp_path: Path) -> None:
    needed.need([tool for tool in ("ssh-keygen",) if not shutil.which(tool)])
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    (tmp_path / "allowed").write_text(f"t@localhost {key.with_suffix('.pub').read_text()}")
    configure(checkout, gpg__format="ssh", user__signingkey=f"{key}.pub", log__showSignature="true")
    git(checkout, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))

    commit(checkout, {"package.json": "{}"}, "-S")

    assert source.read(checkout).epoch == int(git(checkout, "log", "-1", "--no-show-signature", "--format=%ct"))


def test_a_person_s_settings_change_nothing_of_what_git_is_asked(checkout: Path, tmp_path: Path) -> None:
    commit(checkout, {"sf/package.json": "{}", "sf/\u00fc.txt": "x\n"})
    before = source.read(checkout / "sf")
    ran = tmp_path / "ran"
    hook = tmp_path / "hooks" / "post-index-change"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    configure(checkout, color__ui="always", core__hooksPath=str(hook.parent), core__fsmonitor=str(hook))
    configure(checkout, status__short="true", status__branch="true", status__showStash="true", core__pager="false")
    configure(checkout, submodule__recurse="true", core__splitIndex="true", diff__external="false")
    configure(checkout, alias__status="false", i18n__logOutputEncoding="utf-16", log__date="relative")

    assert source.read(checkout / "sf") == before
    source.refuse_dirty(before)
    source.export(before, tmp_path / "export")
    assert contents(tmp_path / "export") == contents(checkout / "sf")
    (checkout / "sf" / "\u00fc.txt").write_text("y\n")
    with pytest.raises(errors.CheckoutDirty, match="sf/\u00fc.txt"):
        source.refuse_dirty(before)
    assert not ran.exists()
    assert not list((checkout / ".git").glob("sharedindex.*"))


ATTRIBUTES = {
    ".gitattributes": "*.txt text eol=crlf\n/app/sf/only.md text eol=crlf\n",
    "app/.gitattributes": "*.ps1 text eol=crlf\n",
    "app/sf/.gitattributes": "*.bat text eol=crlf\nlf.txt text eol=lf\n",
    "app/sf/deep/.gitattributes": "*.txt -text\n",
    **{f"app/sf/{name}": "a\nb\n" for name in ("a.txt", "only.md", "x.ps1", "x.bat", "lf.txt", "deep/d.txt", "p.js")},
    "other/b.txt": "a\n",
}


@pytest.mark.parametrize("inside", ["app/sf", "app", "."])
def test_an_export_has_the_bytes_of_a_checkout_wherever_sf_is(checkout: Path, tmp_path: Path, inside: str) -> None:
    commit(checkout, ATTRIBUTES)
    git(tmp_path, "clone", "--quiet", str(checkout), "clone")

    source.export(source.read(checkout / inside), tmp_path / "export")

    assert contents(tmp_path / "export") == contents(tmp_path / "clone" / inside)
    assert b"\r\n" in b"".join(contents(tmp_path / "export").values())


def test_an_export_is_of_the_commit_and_not_of_what_lies_in_the_work_tree(checkout: Path, tmp_path: Path) -> None:
    commit(checkout, {"a.txt": "a\n", "sf/b.txt": "b\n"})
    revision = source.read(checkout / "sf")
    for place in (checkout, checkout / "sf"):
        (place / ".gitattributes").write_text("*.txt text eol=crlf\n")
    configure(checkout, core__autocrlf="true", core__eol="crlf", core__sparseCheckout="true", core__symlinks="false")
    (checkout / ".git" / "info" / "sparse-checkout").write_text("/a.txt\n")

    source.export(revision, tmp_path / "export")

    assert contents(tmp_path / "export") == {"b.txt": b"b\n"}


def test_a_replaced_commit_is_exported_as_its_name_says(checkout: Path, tmp_path: Path) -> None:
    commit(checkout, {"a.txt": "true\n"})
    first = git(checkout, "rev-parse", "HEAD")
    commit(checkout, {"a.txt": "false\n"})
    git(checkout, "replace", first, "HEAD")
    git(checkout, "reset", "--quiet", "--hard", first)

    revision = source.read(checkout)
    source.export(revision, tmp_path / "export")

    assert revision.commit == first
    assert contents(tmp_path / "export") == {"a.txt": b"true\n"}


def test_a_hook_s_variables_and_an_odd_shell_lead_git_nowhere_else(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(checkout, {"a.txt": "a\n"})
    expected = git(checkout, "rev-parse", "HEAD")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_TRACE", "GIT_ATTR_SOURCE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")

    revision = source.read(checkout)
    source.refuse_dirty(revision)
    source.export(revision, tmp_path / "export")

    assert revision.commit == expected
    assert contents(tmp_path / "export") == {"a.txt": b"a\n"}


def test_a_checkout_that_only_the_call_s_own_setting_trusts_is_read(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(checkout, {"a.txt": "a\n"})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setitem(surroundings.POLICIES, "git", git_that_is_of_another())

    with pytest.raises(errors.SourceUnusable, match="dubious ownership"):
        source.read(checkout)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")

    assert source.read(checkout).path == "."


def git_that_is_of_another() -> surroundings.Policy:
    return surroundings.Policy(keep=(*surroundings.GIT.keep, "GIT_TEST_*"), fixed=surroundings.GIT.fixed)
