"""The Role that is rendered for a CI job is enough for everything, and not more than what it needs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.cluster.site import Site


def account(site: Site, path: Path) -> dict[str, Any]:
    """Make the account that is rendered for test, write a kubeconfig that is it to PATH, and return its Role."""
    rendered = site.inv("kubernetes.role", "-e", "test")
    assert rendered.returncode == 0, rendered.stderr
    objects = list(yaml.safe_load_all(rendered.stdout))
    site.cluster.apply(*objects)
    named = next(one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount")
    token = site.kubectl("test", "create", "token", named, "--duration=2h").strip()
    told = yaml.safe_load(site.cluster.kubeconfig.read_text())
    told["users"] = [{**one, "user": {"token": token}} for one in told["users"]]
    path.write_text(json.dumps(told))
    return next(one for one in objects if one["kind"] == "Role")


@pytest.fixture(scope="module")
def robot(new_site: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, dict[str, Any]]:
    """A site whose releases are made by that account, and its Role."""
    path = tmp_path_factory.mktemp("robot") / "kubeconfig"
    site = new_site(kubeconfig=path)
    site.configure(test="replicas = 2")  # so that there is one of every kind
    return site, account(site, path)


def test_the_rendered_role_is_enough_for_every_command(robot: tuple[Site, dict[str, Any]]) -> None:
    site, _ = robot
    first = site.revision
    done = [site.inv("release", "--to", "test")]
    second = site.commit("second")

    done += [site.inv("release", "--to", "test"), site.inv("rollback", "-e", "test")]
    rolled_back = site.version("test")["revision"]
    done += [
        site.inv(*argv, "-e", "test") for argv in (["probe", "--revision", first], ["logs"], ["history"], ["down"])
    ]
    down = site.pods("test")
    done += [site.inv("release", "--to", "test"), site.inv("status")]

    assert [(one.args[3], one.returncode, one.stderr) for one in done if one.returncode] == []
    assert rolled_back == first
    assert down == {}
    assert site.version("test")["revision"] == second
    assert "may not" not in done[-1].stdout.partition("prod  ")[0]


def test_without_any_one_of_its_rules_something_breaks(robot: tuple[Site, dict[str, Any]]) -> None:
    site, role = robot
    needless = []

    for index, rule in enumerate(role["rules"]):
        site.cluster.apply({**role, "rules": [one for place, one in enumerate(role["rules"]) if place != index]})
        broken = what_breaks(site)
        if not broken:
            needless.append(rule)
        site.cluster.apply(role)
        if broken == "rollback":
            again = site.inv("release", "--to", "test", "--wait")
            assert again.returncode == 0, again.stderr

    assert needless == []
    assert what_breaks(site) == ""


def what_breaks(site: Site) -> str:
    """Return which of the commands that a person or a CI job gives in test is not allowed all it needs."""
    planned = next(line for line in site.inv("plan").stdout.splitlines() if line.startswith("test "))
    if " done " not in planned:
        return "plan"
    if "may not" in site.inv("logs", "-e", "test").stdout:
        return "logs"
    site.kubectl("test", "delete", "lease", "sf-lock", "--ignore-not-found")
    return "rollback" if any(site.inv("rollback", "-e", "test").returncode for _ in range(2)) else ""
