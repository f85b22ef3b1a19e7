"""Which build answers: ask every replica, compare three witnesses, repeat until settled; pure but for the asking."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from selfdeploy import config, errors
from selfdeploy.manifest import Manifest

LIMIT = 64 * 1024
"""Bytes of an answer that are read at most."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one endpoint answered; status 0 when nothing did, with the reason in `body`."""

    status: int
    body: str = ""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One running server as its runtime lists it: its name, and every digest the runtime knows its image by."""

    name: str
    instance: str
    digests: frozenset[str]
    state: str = "running"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One time of asking: the replicas listed before and after, and what each way in answered."""

    before: tuple[Replica, ...]
    after: tuple[Replica, ...]
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)


def compare(manifest: Manifest, seen: Round) -> list[str]:
    """Return every way in which SEEN is not the release of MANIFEST; nothing when all witnesses agree."""
    wrong: list[str] = []
    if not seen.before:
        wrong.append("no replica is running")
    if {r.instance for r in seen.before} != {r.instance for r in seen.after}:
        wrong.append("the replicas changed while they were asked")
    for replica in seen.before:
        if replica.state != "running":
            wrong.append(f"{replica.name}: is {replica.state}")
        if not replica.digests & manifest.image.digests:
            wrong.append(
                f"{replica.name}: runtime: expected image {manifest.image.digest}, "
                f"actual {', '.join(sorted(replica.digests)) or 'unknown'}"
            )
    instances = {replica.instance for replica in seen.before}
    for way, answers in sorted(seen.answers.items()):
        wrong += [f"{way}: {line}" for line in _compare_way(manifest, answers, instances)]
    return wrong


def _compare_way(manifest: Manifest, answers: Mapping[str, Answer], instances: set[str]) -> list[str]:
    wrong = []
    for name, path in sorted(manifest.probes.items()):
        answer = answers.get(name, Answer(status=0, body="not asked"))
        if answer.status != 200:  # noqa: PLR2004 -- HTTP's OK
            actual = f"HTTP {answer.status}" if answer.status else f"no answer ({answer.body[:200]})"
            wrong.append(f"{path}: expected HTTP 200, actual {actual}")
    version = answers.get("version")
    if version is None or version.status != 200:  # noqa: PLR2004 -- HTTP's OK
        return wrong
    try:
        told: Any = json.loads(version.body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return [*wrong, f"/api/version: expected a JSON object, actual {version.body[:80]!r}"]
    for key, expected in {
        "revision": manifest.source.revision,
        "release": manifest.release,
        "image": manifest.image.reference,
    }.items():
        if told.get(key) != expected:
            wrong.append(f"/api/version: {key}: expected {expected}, actual {told.get(key)}")
    if told.get("instance") not in instances:
        listed = ", ".join(sorted(instances))
        wrong.append(f"/api/version: instance: expected one of {listed}, actual {told.get('instance')}")
    return wrong


def get(url: str, timeout: float) -> Answer:
    """Return what URL answers within TIMEOUT seconds: no cache, no redirect followed, at most `LIMIT` bytes."""
    ends = time.monotonic() + timeout
    try:
        with requests.get(
            url,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            headers={"Cache-Control": "no-cache"},
            auth=lambda request: request,  # nothing from a netrc file
        ) as response:
            body = b""
            for chunk in response.iter_content(4096):
                body += chunk
                if len(body) > LIMIT or time.monotonic() > ends:
                    return Answer(status=0, body=f"the answer did not end within {LIMIT} bytes and {timeout:g} s")
            return Answer(status=response.status_code, body=body.decode(errors="replace"))
    except requests.RequestException as exc:
        return Answer(status=0, body=type(exc).__name__)


def until_settled(manifest: Manifest, settings: config.Probes, ask: Callable[[], Round], where: str) -> int:
    """Ask until `settings.consecutive` rounds in a row are the release of MANIFEST; return how many were asked.

    Raises:
        errors.NotProven: it did not settle within `settings.deadline` seconds, or a replica ended for good.
    """
    ends = time.monotonic() + settings.deadline
    agreed = asked = 0
    wrong: Sequence[str] = ()
    while agreed < settings.consecutive:
        seen = ask()
        asked += 1
        wrong = compare(manifest, seen)
        agreed = 0 if wrong else agreed + 1
        if any(replica.state in ("exited", "dead", "restarting") for replica in seen.before):
            break
        if time.monotonic() > ends:
            break
        if agreed < settings.consecutive:
            time.sleep(settings.interval)
    if agreed < settings.consecutive:
        listed = "".join(f"\n  {line}" for line in wrong)
        raise errors.NotProven(
            f"{where}: not proven to run {manifest.image.digest} of {manifest.source.revision}:{listed}",
            "inv logs shows what the server says; inv status shows what runs",
        )
    return asked


SCRIPT = """
const [port, ms, paths] = JSON.parse(process.argv[1]);
const ask = async (path) => {
  try {
    const r = await fetch(`http://127.0.0.1:${port}${path}`,
      {redirect: "manual", headers: {"cache-control": "no-cache"}, signal: AbortSignal.timeout(ms)});
    let body = "";
    const decoder = new TextDecoder();
    for await (const chunk of r.body ?? []) {
      body += decoder.decode(chunk, {stream: true});
      if (body.length > 65536) return {status: 0, body: "the answer is too long"};
    }
    return {status: r.status, body};
  } catch (e) { return {status: 0, body: String(e.cause?.code ?? e.name)}; }
};
const out = {};
for (const [name, path] of Object.entries(paths)) out[name] = await ask(path);
process.stdout.write(JSON.stringify(out));
"""
"""What node runs inside a replica to ask it: one JSON argument, one JSON object out."""


def read_answers(data: bytes) -> dict[str, Answer]:
    """Return the answers that `SCRIPT` printed; each counts as none where it printed something else."""
    try:
        told: Any = json.loads(data)
        return {str(n): Answer(status=int(a["status"]), body=str(a["body"])) for n, a in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
