"""What a command says it would do: nothing is changed by it, and the command then does just that."""

import json
import shutil
import sys

import pytest

from lab import children, vega
from lab.site import Site, person
from lab.terminal import opened


def left_as_it_is(site: Site) -> object:
    """Return what a dry run must not touch: the site's containers, volumes, networks and records."""
    named = ("--filter", f"name={site.name}")
    listed = [site.docker(kind, "ls", "--quiet", *named).stdout for kind in ("container", "volume", "network")]
    return [*listed, site.ids(), site.attempts("test"), site.attempts("prod")]


def says(site: Site, *argv: str) -> str:
    """Return what the dry run of ARGV prints, having seen that it changed nothing."""
    before = left_as_it_is(site)
    done = site.inv(*argv)
    assert done.returncode == 0, done.stderr
    assert left_as_it_is(site) == before
    return done.stdout


@pytest.mark.parametrize("flags", [("--dry", "release"), ("release", "--dry"), ("release", "--dry-run")])
def test_a_release_says_what_it_would_do_and_which_commits_it_would_bring(clean: Site, flags: tuple[str, ...]) -> None:
    first = clean.revision
    clean.commit("one more")
    second = clean.commit("fix the footer")

    told = says(clean, *flags)

    assert [line.split()[0] for line in told.splitlines() if line[0] != " "] == [
        *("source", "gates", "image", "manifest", "test", "prod"),
    ]
    assert "gates      to do" in told
    assert f"from {first[:12]} to {second[:12]}: 2 commits forward" in told
    assert f"+ {second[:12]} fix the footer (t)" in told
    assert clean.version("prod")["revision"] == first


def test_the_plan_ends_with_a_code_that_a_script_can_ask_for(clean: Site) -> None:
    done = clean.inv("plan", "--exit-code")
    clean.commit("next")
    to_do = clean.inv("plan", "--exit-code")
    (clean.folder / "sf" / "package.json").write_text("{}")
    blocked = clean.inv("plan", "--exit-code")

    assert (done.returncode, to_do.returncode, blocked.returncode) == (0, 2, 12), blocked.stdout + blocked.stderr
    assert "source     blocked" in blocked.stdout
    assert "hint: commit, stash or ignore them" in blocked.stdout


def test_the_plan_says_what_a_release_would_be_refused_for(clean: Site) -> None:
    here = clean.revision
    clean.commit("newer")
    assert clean.inv("release").returncode == 0
    clean.git("checkout", "--quiet", "--detach", here)

    told = json.loads(clean.inv("plan", "--json").stdout.splitlines()[-1])["items"]
    states = {line["stage"]: (line["state"], line["exit"]) for line in told}
    clean.git("checkout", "--quiet", "main")

    assert states["prod"] == ("blocked", 46)
    assert states["source"] == ("done", 0)
    assert any("1 commit back" in line for line in told[-1]["commits"])


def test_a_rollback_says_where_it_would_go_and_what_it_would_leave_behind(clean: Site) -> None:
    first = clean.revision
    second = clean.commit("taken back again")
    assert clean.inv("release").returncode == 0

    told = says(clean, "rollback", "-e", "prod", "--dry")
    refused = clean.inv("rollback", "-e", "prod", "--to", "f" * 40, "--dry-run")

    assert f"prod: would go back to {first}" in told
    assert f"- {second[:12]} taken back again (t)" in told
    assert refused.returncode == 54
    assert clean.version("prod")["revision"] == second


def test_each_stage_says_what_it_would_do(clean: Site) -> None:
    clean.commit("stage by stage")

    assert says(clean, "gates", "--dry").splitlines()[-1].startswith("gates      to do")
    assert says(clean, "build", "--dry").splitlines()[-1].startswith("image      to do")
    assert says(clean, "manifest", "--dry").splitlines()[-1].startswith("manifest   to do")
    assert "answers: " in says(clean, "registry.up", "--dry")
    assert "-base@sha256:" in says(clean, "base", "--dry")
    refused = clean.inv("promote", "-e", "prod", "--dry")
    assert refused.returncode == 36


def test_a_promotion_says_what_it_would_prove_first(clean: Site) -> None:
    clean.commit("only in test")
    assert clean.inv("release", "--to", "test").returncode == 0

    told = says(clean, "promote", "-e", "prod", "--dry")

    first, second = (line for line in told.splitlines() if line[0] != " ")
    assert first.startswith("test       done")
    assert second.startswith("prod       to do")


def test_down_says_what_it_would_remove(clean: Site) -> None:
    told = says(clean, "down", "-e", "prod", "--dry")
    before = says(clean, "--dry", "down", "-e", "prod")
    done = clean.inv("down", "-e", "prod")
    again = clean.inv("down", "-e", "prod")
    nothing = says(clean, "down", "-e", "prod", "--dry")

    assert told == before
    assert "prod: would stop and remove what runs; volumes and record stay" in told
    assert f"replica  {clean.container('prod')} is " in told
    assert "prod is down; its volumes and its record stay" in done.stdout
    assert "prod was down already" in again.stdout
    assert "would stop and remove what runs" in nothing
    assert clean.inv("release").returncode == 0


def test_files_that_would_be_written_are_named_and_not_written(clean: Site) -> None:
    told = says(clean, "render", "-e", "test", "-o", "out", "--dry")

    assert "compose.yml" in told
    assert not (clean.folder / "out").exists()


@pytest.mark.parametrize("option", ["--echo", "--pty", "--warn-only", "--no-dedupe", "--hide=both"])
def test_an_option_of_invoke_that_does_nothing_here_is_refused(clean: Site, option: str) -> None:
    before = clean.ids()

    refused = clean.inv(option, "down", "-e", "prod")

    assert refused.returncode == 10
    assert f"error: {option.partition('=')[0]}: does nothing here" in refused.stderr
    assert clean.ids() == before


def test_a_person_at_a_terminal_is_asked_before_prod_goes_down(clean: Site) -> None:
    before = clean.ids()
    command = ["env", "-C", str(clean.folder), sys.executable, "-m", "invoke", "down", "-e", "prod"]
    surroundings = {**person(), "TERM": "xterm"}

    with opened(command, environment=surroundings, columns=160) as terminal:
        terminal.wait_for("Go on? [y/N]", seconds=60)
        shown = "\n".join(terminal.lines)
        terminal.type(b"n\n")
        code = terminal.wait(seconds=60)
        refused = "\n".join(terminal.lines)
    kept = clean.ids()
    with opened(command, environment=surroundings, columns=160) as terminal:
        terminal.wait_for("Go on? [y/N]", seconds=60)
        terminal.type(b"y\n")
        agreed = terminal.wait(seconds=120)
    with opened([*command, "--yes"], environment=surroundings, columns=160) as terminal:
        unasked = terminal.wait(seconds=120)
        silent = "\n".join(terminal.lines)

    assert "would stop and remove what runs" in shown
    assert code == 92
    assert "not confirmed; nothing was changed" in refused
    assert kept == before
    assert (agreed, unasked) == (0, 0)
    assert "Go on?" not in silent
    assert len(clean.ids()) == 1
    assert clean.inv("release").returncode == 0


def test_the_shared_server_s_commands_say_what_they_would_do(live: vega.Site) -> None:
    first = live.good("vega.up", "--dry")
    nothing = live.left()["containers"]
    live.good("vega.up")
    running = live.running()
    second = live.good("vega.up", "--dry-run", "--build")
    restarted = live.good("--dry", "vega.restart")
    gone = live.good("vega.down", "--dry")
    shell = live.good("vega.shell", "--dry")

    assert f"would start {live.name}" in first
    assert f"http://127.0.0.1:{live.port}" in first
    assert nothing == []
    assert f"would build what {live.checkout.folder} is now" in second
    assert f"would replace {live.name} at http://127.0.0.1:{live.port}" in second + restarted
    assert f"would stop and remove {live.name}" in gone
    assert "would run docker" in shell
    assert live.running() == running
    assert "is down; the workspaces and ~/.sf stay" in live.good("vega.down")
    assert live.inv("vega.restart", "--dry").returncode == 64


def test_uncommitted_project_files_are_named_in_the_plan_and_the_evidence(clean: Site) -> None:
    project = ["git", "-C", str(clean.folder)]
    children.run([*project, "init", "--quiet"])
    children.run([*project, "add", "deploy.toml"])
    children.run([*project, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message=one"])
    committed = clean.inv("plan").stdout
    clean.configure(test='variables = {SF_GREETING = "hello"}')
    clean.commit("another")

    planned = clean.inv("plan").stdout
    done = clean.inv("release")
    evidence = json.loads((clean.folder / ".selfdeploy" / "evidence" / f"{clean.revision}.json").read_text())
    shutil.rmtree(clean.folder / ".git")

    assert "not committed" not in committed
    assert "warning: deploy.toml: not committed, and counts in this release" in planned
    assert done.returncode == 0, done.stderr
    assert evidence["uncommitted"] == ["deploy.toml"]
