"""The whole release of the bundled application to two namespaces of a real cluster."""

from pathlib import Path

from lab.cluster.site import Site


def test_a_release_goes_from_test_to_prod(site: Site) -> None:
    assert [site.public_version(name)["revision"] for name in ("test", "prod")] == [site.revision] * 2
    assert [len(site.pods(name)) for name in ("test", "prod")] == [1, 2]
    assert [site.record(name)["attempts"][0]["ending"] for name in ("test", "prod")] == ["proven", "proven"]


def test_a_second_release_changes_nothing_and_holds_test_until_prod_is_proven(site: Site) -> None:
    before, held = [*site.pods("test"), *site.pods("prod")], list[tuple[bool, bool]]()

    again = site.start("release")
    while again.process.poll() is None:
        test, prod = (site.get(name, "lease", "sf-lock")["spec"].get("holderIdentity") for name in ("test", "prod"))
        held.append((bool(test), bool(prod)))

    assert again.process.returncode == 0, again.progress
    assert "missing" not in again.progress
    assert [*site.pods("test"), *site.pods("prod")] == before
    # The lock of test is held until prod is proven as well.
    assert (True, True) in held
    assert (False, True) not in held


def test_the_plan_shows_what_would_change_as_a_diff_and_changes_nothing(site: Site) -> None:
    before = {*site.pods("test")}
    site.configure(test='variables = {SF_GREETING = "hello"}')

    planned = site.inv("plan")
    site.configure(test='strategy = "recreate"')
    gap = site.inv("plan")
    site.configure()

    lines = [line.removeprefix("    ") for line in planned.stdout.splitlines() if line.startswith("    ")]
    assert "test       to do    what runs is not what deploy.toml describes" in planned.stdout
    assert [line for line in lines if line.startswith(("+++", "---"))] == ["--- deployment/sf", "+++ deployment/sf"]
    changed = [line.lstrip("+- ") for line in lines if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]
    assert changed == ["name: SF_GREETING", "value: hello"]
    assert "describes; a rollout replaces one pod after the other: no moment without an answer" in planned.stdout
    assert "describes; a rollout ends all pods before it makes new ones: no answer in between" in gap.stdout
    assert {*site.pods("test")} == before


def test_what_is_written_for_others_is_what_runs(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "prod"

    written = site.inv("render", "-e", "prod", "-o", str(folder))
    same = site.kubectl("prod", "diff", "--server-side", "--field-manager=gitops", f"--filename={folder}")

    assert written.returncode == 0, written.stderr
    assert same == ""  # and kubectl ends with an error when there is a difference
    assert {path.name for path in folder.iterdir()} == {*written.stdout.split()}


def test_what_a_release_has_no_use_for_is_deleted_and_what_may_be_put_back_is_kept(site: Site) -> None:
    first = manifests(site)
    site.commit("second")
    site.configure(test="replicas = 2")
    assert site.inv("release", "--to", "test").returncode == 0
    budgets = site.get("test", "poddisruptionbudgets")["items"]
    labels = site.get("test", "deployment", "sf")["metadata"]["labels"]
    metadata = {"name": "sf-left-over", "namespace": site.namespace("test"), "labels": labels}
    site.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    site.configure(
        test='variables = {SF_GREETING = "hello"}'
    )  # one replica, and another pod: the budget's state changes

    planned, done, again = site.inv("plan"), site.inv("release", "--to", "test"), site.inv("plan")
    site.configure()

    assert len(budgets) == 1
    assert "--- configmap/sf-left-over" in planned.stdout
    assert "--- poddisruptionbudget/sf" in planned.stdout
    assert done.returncode == 0, done.stderr
    assert site.get("test", "poddisruptionbudgets")["items"] == []
    assert len(first) == 1
    assert first < manifests(site)
    assert len(manifests(site)) == 2
    assert [line for line in again.stdout.splitlines() if line.startswith("test ") and " done " in line]


def manifests(site: Site) -> set[str]:
    """Return the ConfigMaps of test but for its record and the cluster's own."""
    named = {one["metadata"]["name"] for one in site.get("test", "configmaps")["items"]}
    return named - {"sf-record", "kube-root-ca.crt"}


def test_a_server_that_hangs_is_made_anew(site: Site) -> None:
    before = {*site.pods("test")}
    site.configure(probes="deadline = 8")  # before the node itself makes an end of it
    site.kubectl("test", "exec", "deployment/sf", "--", "sh", "-c", HANG)

    done = site.inv("release", "--to", "test")

    assert done.returncode == 0, done.stderr
    assert not {*site.pods("test")} & before
    assert site.public_version("test")["revision"] == site.revision
    again = site.inv("plan").stdout.splitlines()
    assert [line for line in again if line.startswith("test ") and " done " in line]


HANG = "for one in /proc/[0-9]*; do grep -q next-serve[r] $one/cmdline && kill -STOP ${one#/proc/}; done; true"


def test_a_rollout_and_a_promotion_are_commands_of_their_own(site: Site) -> None:
    site.commit("promoted")
    recorded = [site.inv(command) for command in ("gates", "build", "manifest")]

    early = site.inv("promote", "-e", "prod")
    rolled = site.inv("rollout", "-e", "test")
    promoted = site.inv("promote", "-e", "prod")

    assert [done.returncode for done in (*recorded, early, rolled, promoted)] == [0, 0, 0, 50, 0, 0]
    assert [site.public_version(name)["revision"] for name in ("test", "prod")] == [site.revision] * 2
