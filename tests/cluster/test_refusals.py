"""What a release must not do, or cannot: it says so, each with its own exit code, and nothing was changed."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab import children
from lab.cluster import Cluster, tokens
from lab.cluster.site import Site
from lab.site import Done


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test."""
    made = new_site()
    done = made.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    return made


def refuse(site: Site, code: int) -> Done:
    """Release what is there, which has to be refused with CODE and leave record and pods; return how that went."""
    attempts, pods = site.record("test")["attempts"], {*site.pods("test")}
    done = site.inv("release", "--to", "test")

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert site.record("test")["attempts"] == attempts
    assert {*site.pods("test")} == pods
    return done


def test_another_manager_s_image_is_not_forced(site: Site) -> None:
    image = site.version("test")["image"]
    site.kubectl("test", "set", "image", "deployment/sf", "server=127.0.0.1:5019/other:1", "--field-manager=rival")

    planned, done = site.inv("plan"), site.inv("release", "--to", "test")
    site.kubectl("test", "set", "image", "deployment/sf", f"server={image}", "--field-manager=rival")
    same = site.inv("release", "--to", "test")
    site.commit("next")
    fought = refuse(site, 74)

    assert "rival has set .spec.template.spec.containers" in planned.stdout
    assert done.returncode == 74
    assert 'deployment/sf: rival has set .spec.template.spec.containers[name="server"].image' in done.stderr
    assert same.returncode == 0, same.stderr
    assert "rival has set" in fought.stderr
    site.kubectl("test", "delete", "deployment", "sf")
    assert site.inv("release", "--to", "test").returncode == 0


def test_a_paused_deployment_is_not_waited_for(site: Site) -> None:
    site.kubectl("test", "rollout", "pause", "deployment/sf")
    site.commit("after the pause")

    done = refuse(site, 76)

    assert "deployment/sf is paused by kubectl-rollout" in done.stderr
    assert "rollout resume deployment/sf" in done.stderr
    site.kubectl("test", "rollout", "resume", "deployment/sf")


def configured(site: Site, **keys: object) -> Done:
    """Release with other KEYS of the environment test in deploy.toml, the first there, and return how that went."""
    path = site.folder / "deploy.toml"
    text = told = path.read_text()
    for key, value in keys.items():
        told, count = re.subn(f"(?m)^{key} = .*$", f"{key} = {json.dumps(value)}", told, count=1)
        assert count == 1
    path.write_text(told)
    try:
        return site.inv("release", "--to", "test")
    finally:
        path.write_text(text)


def kubeconfig(site: Site, path: Path, server: str = "", **user: str) -> str:
    """Write the site's kubeconfig to PATH with another SERVER or USER in it, and return its name."""
    told = yaml.safe_load(site.kubeconfig.read_text())
    if server:
        told["clusters"] = [{**one, "cluster": {**one["cluster"], "server": server}} for one in told["clusters"]]
    if user:
        told["users"] = [{**one, "user": user} for one in told["users"]]
    path.write_text(json.dumps(told))
    return str(path)


def test_each_way_not_to_reach_the_namespace_has_its_own_message(site: Site, tmp_path: Path) -> None:
    silent = kubeconfig(site, tmp_path / "silent", server=f"https://127.0.0.1:{children.free_port()}")
    made_up = kubeconfig(site, tmp_path / "made up", token="made up")
    robot = site.cluster.kubectl("--namespace=default", "create", "token", "default").strip()
    helpless = kubeconfig(site, tmp_path / "helpless", token=robot)

    told = [
        configured(site, kubeconfig=silent),
        configured(site, kubeconfig=made_up),
        configured(site, kubeconfig=helpless),
        # Which namespaces there are is told to those only who may look for them.
        configured(site, kubeconfig=str(site.cluster.kubeconfig), namespace="nowhere-at-all"),
        configured(site, context="nowhere"),
    ]

    assert [done.returncode for done in told] == [70, 71, 72, 73, 10]
    assert "connection refused" in told[0].stderr
    assert "refuses the credential, or it has expired" in told[1].stderr
    assert "system:serviceaccount:default:default may not create leases in namespace" in told[2].stderr
    assert "inv kubernetes.role -e test" in told[2].stderr
    assert "namespace nowhere-at-all does not exist" in told[3].stderr
    assert 'context "nowhere" does not exist' in told[4].stderr
    assert robot not in "".join(done.stdout + done.stderr for done in told)


def test_a_credential_that_has_expired_is_refused(site: Site, own: Cluster, tmp_path: Path) -> None:
    good, over = (tokens.sign(own, "default", "default", seconds) for seconds in (600, -60))

    told = [configured(site, kubeconfig=kubeconfig(site, tmp_path / "it", token=one)) for one in (good, over)]

    assert [done.returncode for done in told] == [72, 71]
    assert "refuses the credential, or it has expired" in told[1].stderr
    assert over not in told[1].stdout + told[1].stderr


def test_a_namespace_that_is_being_deleted_takes_nothing(site: Site) -> None:
    name = f"{site.name}-gone"
    site.cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "namespace": name, "finalizers": ["selfdeploy.test/held"]},
        },
    )
    site.cluster.kubectl("delete", "namespace", name, "--wait=false")

    done = configured(site, kubeconfig=str(site.cluster.kubeconfig), namespace=name)

    site.cluster.kubectl(f"--namespace={name}", "patch", "configmap", "held", "--type=json", "--patch", FREE)
    assert done.returncode == 73, done.stderr
    assert f"namespace {name} is being deleted" in done.stderr


FREE = '[{"op": "remove", "path": "/metadata/finalizers"}]'


def test_the_rpc_probe_without_its_right_is_refused_before_the_gates(site: Site) -> None:
    site.configure(probes="rpc = true")
    done = site.inv("release", "--to", "test")
    site.configure()

    assert done.returncode == 72
    assert "may not get pods" in done.stderr
    assert "probes.rpc = false" in done.stderr
    assert "gates ..." not in done.stderr
