"""The whole release of the bundled application, on a real engine, with a real registry and a real Node."""

import json
import re
from pathlib import Path

from lab.site import Done, Site


def test_a_release_goes_the_whole_way(whole: tuple[Site, Done]) -> None:
    site, done = whole

    assert done.returncode == 0, done.stderr
    assert [site.version(name)["revision"] for name in ("test", "prod")] == [site.revision] * 2
    planned = site.inv("plan", "--json", "--exit-code")
    assert planned.returncode == 0
    assert {line["state"] for line in json.loads(planned.stdout.splitlines()[-1])["items"]} == {"done"}


def test_the_replicas_are_locked_down_and_run_the_digest(whole: tuple[Site, Done]) -> None:
    site, _ = whole

    for name in ("test", "prod"):
        told = site.inspect(name)
        host = told["HostConfig"]
        image = site.version(name)["image"]

        assert told["Config"]["Image"] == image
        assert told["Config"]["User"] == "1000:1000"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert [binding["HostIp"] for binding in host["PortBindings"]["4000/tcp"]] == ["127.0.0.1"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_what_is_written_for_others_is_what_runs_and_theirs_is_never_lost(
    whole: tuple[Site, Done], tmp_path: Path
) -> None:
    site, _ = whole
    folder = tmp_path / "prod"

    written = site.inv("render", "-e", "prod", "-o", str(folder))
    hashed = site.docker("compose", "--file", str(folder / "compose.yml"), "config", "--hash", "server")
    (folder / "mine.yml").write_text("mine")
    refused = site.inv("render", "-e", "prod", "-o", str(folder))

    assert written.returncode == 0, written.stderr
    assert written.stdout.split() == ["compose.yml", "sf-release-manifest.json"]
    assert hashed.stdout.split()[-1] == site.inspect("prod")["Config"]["Labels"]["com.docker.compose.config-hash"]
    assert refused.returncode == 19
    assert f"{folder}/mine.yml" in refused.stderr


def test_a_second_release_changes_nothing_also_from_another_clone(whole: tuple[Site, Done], tmp_path: Path) -> None:
    site, _ = whole
    before = site.ids()

    again = site.inv("release")
    elsewhere = site.cloned(tmp_path / "clone").inv("release")

    assert again.returncode == 0, again.stderr
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert len(before) == 2
    assert site.ids() == before
    assert not (tmp_path / "clone" / ".selfdeploy" / "trees").exists()
    for folder in (site.folder, tmp_path / "clone"):  # what made it hid it from git
        assert (folder / ".selfdeploy" / ".gitignore").read_text() == "*\n"


def test_status_tells_what_the_working_files_take_if_asked_to(whole: tuple[Site, Done]) -> None:
    site, _ = whole
    folder = site.folder / ".selfdeploy"

    plain, verbose, data = site.inv("status"), site.inv("status", "-v"), site.inv("status", "-v", "--json")

    taken = json.loads(data.stdout.splitlines()[-1])["items"][-1]
    assert str(folder) not in plain.stdout
    assert re.search(rf"^{folder}  [0-9.]+ [MG]iB$", verbose.stdout, re.MULTILINE), verbose.stdout
    assert re.search(rf"^ +[0-9.]+ [MG]iB  trees/{site.revision}$", verbose.stdout, re.MULTILINE)
    assert taken["bytes"] == sum(taken["entries"].values()) > taken["entries"][f"trees/{site.revision}"] > 0


def test_a_release_can_stop_at_test_and_prod_is_promoted_by_hand(site: Site) -> None:
    old, new = site.revision, site.commit("two")

    stopped = site.inv("release", "--to", "test")
    between = site.version("test")["revision"], site.version("prod")["revision"]
    direct = site.inv("rollout", "-e", "prod")
    promoted = site.inv("promote", "-e", "prod", "--revision", new[:10])

    assert stopped.returncode == 0, stopped.stderr
    assert "inv promote -e prod" in stopped.stdout
    assert between == (new, old)
    assert direct.returncode == 50
    assert "inv promote -e prod" in direct.stderr
    assert promoted.returncode == 0, promoted.stderr
    assert site.version("prod")["revision"] == new


def test_each_stage_is_a_command_of_its_own(site: Site) -> None:
    revision = site.commit("three")

    early = site.inv("build")
    steps = [site.inv(*argv) for argv in (["gates"], ["build"], ["manifest"], ["rollout", "-e", "test"])]
    probed = site.inv("probe", "-e", "test", "--release", site.version("test")["image"])

    assert early.returncode == 21
    assert "inv gates" in early.stderr
    assert [step.returncode for step in steps] == [0, 0, 0, 0], [step.stderr for step in steps]
    assert probed.returncode == 0, probed.stderr
    assert site.version("test")["revision"] == revision


def test_a_plan_warns_of_far_fewer_tests_than_the_last_proven_release_ran(site: Site) -> None:
    assert site.inv("release").returncode == 0
    proven = site.version("test")["revision"]
    core = site.folder / "sf" / "tests" / "core.test.mjs"
    text = core.read_text()
    core.unlink()
    site.commit("loses its tests")

    before = site.inv("plan")
    gated = site.inv("gates")
    plan = site.inv("plan")

    core.write_text(text)
    site.commit("has them again")
    assert gated.returncode == 0, gated.stderr
    assert "warning: " not in before.stdout  # nobody knows yet
    warning = rf"^ +warning: test-unit ran \d+ tests?, and \d+ for {proven[:12]}, proven here last$"
    assert len(re.findall(warning, plan.stdout, re.MULTILINE)) == 2, plan.stdout


def test_a_deploy_toml_change_is_applied_and_the_same_release_proven_again(site: Site) -> None:
    site.inv("release")
    before = site.ids()
    site.configure(test='variables = {GREETING = "hello $USER"}')

    done = site.inv("release")
    after = site.ids()
    site.configure()
    site.inv("release")

    assert done.returncode == 0, done.stderr
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_secret_reaches_the_server_and_nothing_else(site: Site) -> None:
    value, good = "s3cret-of-the-test", site.revision
    settings = {"test": 'secrets = {SF_AUTH_TOKEN = {env = "THE_TOKEN"}}', "probes": "deadline = 20\nrpc = true"}
    site.configure(**settings)

    missing = site.inv("release", "--to", "test")
    done = site.inv("release", "--to", "test", THE_TOKEN=value)
    environment = site.inspect("test")["Config"]["Env"]

    assert missing.returncode == 10
    assert "THE_TOKEN is not set" in missing.stderr
    assert done.returncode == 0, done.stderr
    assert f"SF_AUTH_TOKEN={value}" in environment
    assert value not in done.stdout + done.stderr
    kept = [file for file in (site.folder / ".selfdeploy").rglob("*") if file.is_file() and "trees" not in file.parts]
    assert not [file for file in kept if value.encode() in file.read_bytes()]

    # No value is kept: what takes a secret that is named no longer is not started with another, or without it.
    site.configure()
    site.answer_as_another_revision()
    failed = site.inv("release", "--to", "test", SF_AUTH_TOKEN="of-somebody-else")
    history = site.inv("history", "-e", "test").stdout.splitlines()[0]
    refused = site.inv("rollback", "-e", "test")
    site.configure(**settings)
    back = site.inv("rollback", "-e", "test", THE_TOKEN="renewed")
    environment = site.inspect("test")["Config"]["Env"]
    site.configure()
    site.git("checkout", "--quiet", "--force", "-B", "main", good)
    mended = site.inv("release")

    assert failed.returncode == 52, failed.stderr
    assert "secrets: no SF_AUTH_TOKEN" in failed.stderr
    assert "not put back" in history
    assert refused.returncode == 10
    assert "no SF_AUTH_TOKEN" in refused.stderr
    assert back.returncode == 0, back.stderr
    assert "SF_AUTH_TOKEN=renewed" in environment
    assert mended.returncode == 0, mended.stderr


def test_rolling_back_brings_what_was_proven_before_and_again_goes_forward(site: Site) -> None:
    first = site.version("prod")["revision"]
    second = site.commit("four")
    released = site.inv("release")

    back = site.inv("rollback", "-e", "prod")
    then = site.version("prod")["revision"]
    named = site.inv("rollback", "-e", "prod", "--to", second)
    unknown = site.inv("rollback", "-e", "prod", "--to", "0" * 40)

    assert released.returncode == 0, released.stderr
    assert back.returncode == 0, back.stderr
    assert then == first
    assert named.returncode == 0, named.stderr
    assert site.version("prod")["revision"] == second
    assert unknown.returncode == 54


def test_status_and_history_tell_what_is_and_what_was(site: Site) -> None:
    status, history = site.inv("status"), site.inv("history", "-e", "prod")

    assert status.returncode == 0, status.stderr
    revision = site.version("prod")["revision"]
    subject = site.git("log", "-1", "--format=%s", revision)
    test, prod = (line for line in status.stdout.splitlines() if not line.startswith(" "))
    assert test.split()[:3] == ["test", "ok", revision[:12]]
    assert prod.split()[:3] == ["prod", "ok", revision[:12]]
    assert f"  {subject}  proven " in prod
    assert prod.endswith(f" ago  http://127.0.0.1:{site.ports[1]}")
    assert "proven" in history.stdout.splitlines()[0]
    assert f"  {subject}  " in history.stdout.splitlines()[0]


def test_status_in_full_as_a_check_and_for_prometheus(site: Site) -> None:
    full, check, metrics = (site.inv("status", flag) for flag in ("--verbose", "--check", "--metrics"))
    proven = site.inv("probe", "-e", "prod", "--proven")
    site.docker("pause", site.container("prod"))
    ill, fails = site.inv("status", "--check"), site.inv("status", "--metrics")
    site.docker("unpause", site.container("prod"))

    image = site.version("prod")["image"]
    assert image.rpartition("@")[2] in full.stdout
    assert (check.returncode, ill.returncode) == (0, 50)
    assert [line.split()[1] for line in ill.stdout.splitlines() if line.startswith("prod ")] == ["differs"]
    assert 'selfdeploy_environment_ok{environment="prod",verdict="ok"} 1' in metrics.stdout
    assert 'selfdeploy_environment_ok{environment="prod",verdict="differs"} 0' in fails.stdout
    assert proven.returncode == 0, proven.stderr
    assert f"prod runs {site.version('prod')['revision']}" in proven.stdout


def test_a_result_says_what_was_changed(site: Site) -> None:
    def changed(*argv: str) -> list[str]:
        done = site.inv(*argv, "--json")
        assert done.returncode == 0, done.stderr
        told: list[str] = json.loads(done.stdout.splitlines()[-1])["changed"]
        return told

    nothing = [changed("release"), changed("status"), changed("base", "--dry"), changed("registry.up", "--dry")]
    site.commit("something else")
    first, again = changed("gates"), changed("gates")
    whole = changed("release")

    assert nothing == [[], [], [], []]
    assert (first, again) == (["gates"], [])
    assert whole == ["image", "manifest", "test", "prod"]


def test_an_environment_that_was_taken_down_comes_up_again_as_it_was(site: Site) -> None:
    before = site.version("prod")
    site.commit("not released")

    down = site.inv("down", "-e", "prod")
    told = site.inv("status", "-e", "prod", "--json")
    back = site.inv("rollback", "-e", "prod", "--dry")
    up = site.inv("up", "-e", "prod")
    started = site.inspect("prod")["Id"]
    same = site.inv("up", "-e", "prod")
    kept = site.inspect("prod")["Id"]
    anew = site.inv("restart", "-e", "prod")
    site.git("reset", "--quiet", "--hard", before["revision"])

    verdict = json.loads(told.stdout.splitlines()[-1])["items"][0]["verdict"]
    assert down.returncode == 0, down.stderr
    assert verdict.startswith("down by ")
    assert f"would go back to {before['revision']}" in back.stdout
    assert [done.returncode for done in (up, same, anew)] == [0, 0, 0], up.stderr + same.stderr + anew.stderr
    assert site.version("prod")["revision"] == before["revision"]
    assert kept == started
    assert site.inspect("prod")["Id"] != kept
    endings = [one["ending"] for one in site.attempts("prod")[:4]]
    assert endings == ["started anew, proven", "brought up, proven", "brought up, proven", "taken down"]


def test_what_was_rolled_back_and_held_does_not_come_back_with_the_next_release(site: Site) -> None:
    first = site.version("prod")["revision"]
    site.commit("to be taken back")
    assert site.inv("release").returncode == 0

    done = site.inv("rollback", "-e", "prod", "--hold")
    refused = site.inv("release")
    digest = site.version("test")["image"].rpartition("@")[2]
    freed = site.inv("unhold", "-e", "prod", "--digest", digest)
    told = site.inv("history")
    again = site.inv("release")

    assert done.returncode == 0, done.stderr
    assert refused.returncode == 45, refused.stderr
    assert f"{digest} is on hold" in refused.stderr
    assert "rolled back by" in refused.stderr
    assert freed.returncode == 0, freed.stderr
    assert any("prod" in line and "freed" in line and "to be taken back" in line for line in told.stdout.splitlines())
    assert any("test" in line for line in told.stdout.splitlines())
    assert again.returncode == 0, again.stderr
    assert site.version("prod")["revision"] != first


def test_how_many_lines_of_the_log_is_asked_for_in_digits(site: Site) -> None:
    told, refused = site.inv("logs", "-e", "test", "--tail", "1"), site.inv("logs", "-e", "test", "--tail", "abc")
    flags = site.inv("logs", "--help")

    assert (flags.returncode, "How many lines" in flags.stdout) == (0, True)
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) <= 1
    assert refused.returncode == 10
    assert "--tail: 'abc' is not a number" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_was_taken_down_comes_back_with_the_next_release(site: Site) -> None:
    network = f"{site.name}-t_default"
    site.docker("rm", "--force", "--volumes", site.container("test"))
    left = site.docker("network", "inspect", network)
    down = site.inv("down", "-e", "test")
    gone = site.docker("network", "inspect", network)
    back = site.inv("release")

    assert down.returncode == 0, down.stderr
    assert (left.returncode, gone.returncode) == (0, 1)
    assert back.returncode == 0, back.stderr
    assert site.version("test")["revision"] == site.revision


def test_a_weaker_gate_is_told_in_the_plan_the_manifest_and_the_report(site: Site) -> None:
    site.commit("weaker")
    site.configure(top="[gates.override.test-unit]\nminimum_tests = 0\n")
    told = "test-unit: redefined in deploy.toml"

    missing = site.inv("plan")
    made = [site.inv(stage) for stage in ("gates", "build", "manifest")][-1]
    written = json.loads((site.folder / "dist" / "sf-release-manifest.json").read_bytes())
    found, report = site.inv("plan"), site.inv("report")
    site.configure()
    strict = site.inv("plan")

    assert made.returncode == 0, made.stderr
    assert all(told in text for text in (missing.stdout, made.stderr, found.stdout, report.stdout))
    assert {"name": "test-unit", "command": "npm run test:unit", "redefined": True} in written["gates"]
    assert told not in strict.stdout
    assert "manifest   to do" in strict.stdout  # of the contract's own gate there is no record
