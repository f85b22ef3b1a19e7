"""While one release replaces another, nobody is left without an answer; after it, no old build gives one."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import requests

from lab import children
from lab.cluster.site import Site

SETTINGS = "replicas = 2\n"
RATE = 20
"""Requests a second."""

LIAR = """
{
  const fs = require("node:fs");
  let first = true;
  try { fs.mkdirSync(`${process.env.HOME}/liar`); } catch { first = false; }
  if (first) {
    const told = JSON.stringify({revision: "f".repeat(40), instance: require("node:os").hostname()});
    require("node:http").createServer((_, response) => response.end(told)).listen(4000, "0.0.0.0");
    return;
  }
}
"""
"""Has the first of the replicas, which share a home, answer as another build."""

LINGER = """
{
  const on = process.on.bind(process);
  process.on = (event, what) => event === "SIGTERM" || event === "disconnect" ? process : on(event, what);
  on("SIGTERM", () => setTimeout(() => process.exit(0), 9000));
}
"""
"""Goes on answering for nine seconds after it was told to end."""


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site whose first revision runs in test, in two replicas."""
    made = new_site()
    made.configure(test=SETTINGS, probes="deadline = 15")
    done = made.inv("release", "--to", "test")
    assert done.returncode == 0, done.stderr
    return made


@dataclass
class Traffic:
    """Requests at a steady rate to URL, each on a connection of its own; ANSWERS are when, and which revision."""

    url: str
    answers: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask once."""
        began = time.monotonic()
        try:
            told = requests.get(self.url, timeout=10, headers={"Connection": "close"}).json()
            self.answers.append((began, str(told["revision"])))
        except (requests.RequestException, ValueError, KeyError) as exc:
            self.failures.append(f"{began}: {exc!r}")

    def flow(self) -> None:
        """Ask until the end."""
        asking: list[threading.Thread] = []
        while not self.ended.wait(1 / RATE):
            asking.append(threading.Thread(target=self.ask))
            asking[-1].start()
        for thread in asking:
            thread.join()


@contextlib.contextmanager
def traffic(site: Site) -> Iterator[Traffic]:
    """Have requests go through a NodePort to the pods of test, until the block ends."""
    selector = {"app.kubernetes.io/name": "sf", "app.kubernetes.io/instance": "sf"}
    spec = {"type": "NodePort", "selector": selector, "ports": [{"port": 80, "targetPort": "http"}]}
    metadata = {"name": "way-in", "namespace": site.namespace("test")}
    site.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    port = site.get("test", "service", "way-in")["spec"]["ports"][0]["nodePort"]
    flowing = Traffic(url=f"http://127.0.0.1:{port}/api/version")
    children.wait_until(lambda: _answers(flowing.url), "the NodePort answers")
    thread = threading.Thread(target=flowing.flow)
    thread.start()
    try:
        yield flowing
    finally:
        flowing.ended.set()
        thread.join()
        site.kubectl("test", "delete", "service", "way-in")


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


def test_no_request_fails_and_no_old_build_answers_after_a_rollout_or_a_rollback(site: Site) -> None:
    site.configure(test=f"{SETTINGS}drain = 5", probes="deadline = 15")
    old = site.revision
    assert site.inv("release", "--to", "test").returncode == 0
    new = site.commit("rolled forward")

    with traffic(site) as seen:
        forward = site.inv("release", "--to", "test")
        forwarded = time.monotonic()
        time.sleep(1)
        back = site.inv("rollback", "-e", "test", "--to", old)
        backed = time.monotonic()
        time.sleep(1)

    assert forward.returncode == 0, forward.stderr
    assert back.returncode == 0, back.stderr
    assert seen.failures == []
    assert {told for _, told in seen.answers} == {old, new}
    assert {told for at, told in seen.answers if forwarded < at < forwarded + 1} == {new}
    assert {told for at, told in seen.answers if at > backed} == {old}


def test_one_of_two_replicas_that_answers_as_another_build_is_enough_to_fail(site: Site) -> None:
    before = site.version("test")["revision"]
    site.begin_server(LIAR, "one of two lies")

    done = site.inv("release", "--to", "test")

    assert done.returncode == 51, done.stderr
    assert "ffffffff" in done.stderr
    assert site.attempt("test")["ending"] == "put back, proven"
    assert site.version("test")["revision"] == before


def test_an_old_pod_that_still_answers_is_waited_for(site: Site) -> None:
    site.begin_server(LINGER, "lingers")
    site.configure(test=f"{SETTINGS}grace = 30", probes="deadline = 15")
    assert site.inv("release", "--to", "test").returncode == 0
    old = {*site.pods("test")}
    names = [pod["metadata"]["name"] for pod in site.get("test", "pods")["items"]]
    site.begin_server("", "follows one that lingers")

    started = site.start("release", "--to", "test")
    children.wait_until(lambda: _has_rolled(site, old), "what kubectl rollout status waits for", seconds=120)
    early = started.process.poll()
    serving = _endpoints(site)
    code = started.process.wait(120)
    still = [name for name in names if _answers_itself(site, name)]

    assert early is None
    assert serving & old
    assert code == 0, started.progress
    assert still == []
    assert _endpoints(site) & old == set()


def _has_rolled(site: Site, old: set[str]) -> bool:
    status = site.get("test", "deployment", "sf")["status"]
    told = ("replicas", "updatedReplicas", "availableReplicas")
    return all(status.get(one) == 2 for one in told) and not {*site.pods("test")} & old


def _answers_itself(site: Site, pod: str) -> bool:
    path = f"/api/v1/namespaces/{site.namespace('test')}/pods/{pod}:4000/proxy/api/healthz"
    try:
        return bool(site.kubectl("test", "get", "--raw", path))
    except children.LabError:
        return False


def _endpoints(site: Site) -> set[str]:
    slices = site.get("test", "endpointslices", "--selector=kubernetes.io/service-name=sf")["items"]
    found = [end for one in slices for end in one.get("endpoints") or () if end["conditions"].get("serving")]
    return {end["targetRef"]["uid"] for end in found}


def test_an_image_that_somebody_else_sets_meanwhile_is_told_and_not_green(site: Site) -> None:
    site.be_slow(10)
    revision = site.revision

    started = site.start("release", "--to", "test")
    children.wait_until(lambda: _applied(site) == revision, "it is applied", seconds=120)
    rival = ("set", "image", "deployment/sf", "server=127.0.0.1:5019/other:1", "--field-manager=rival")
    site.kubectl("test", *rival)
    code = started.process.wait(120)

    assert code == 52, started.progress
    assert "rival has changed the pods' template" in started.progress
    assert "rival has set .spec.template" in started.progress
    assert site.attempt("test")["ending"] == "put back, not proven"


def _applied(site: Site) -> str:
    notes = site.get("test", "deployment", "sf")["metadata"]["annotations"]
    return str(notes["dev.selfdeploy/revision"])
