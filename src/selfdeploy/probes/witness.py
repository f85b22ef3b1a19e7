"""Pure comparison of the three witnesses of the running build: the process, the manifest beside it, the runtime."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfdeploy.manifest import Manifest

OK = 200
"""HTTP status of a passing probe (RFC 9110)."""

SHOWN = 300
"""Longest excerpt of a failing body in a message, in characters."""

SECRET = (
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[^\s\"',;]+"),
    re.compile(
        r"""(?ix) ( [\w.-]* (?:token|secret|passw(?:or)?d|passphrase|api_?-?key|authorization|cookie|credential) [\w.-]*
            \\?["']? \s* [:=] \s* ) (?: \\?"(?:[^"\\]|\\.)*"? | '[^']*'? | [^\s,;&}]+ )"""
    ),
    re.compile(r"(//)[^/\s:@]*:[^/\s@]*(?=@)"),
)
"""Patterns of secrets in a body: a login in a header, a value with a secret's name, a login in an address."""

RPC = "rpc"
"""Name of the RPC call's answer, beside the names of the manifest's probes."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of one endpoint; without an answer, status 0 and the reason in `body`."""

    status: int
    body: str = ""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One running server as its runtime lists it: its name, and every digest of its image."""

    name: str
    instance: str
    digests: frozenset[str]
    state: str = "running"
    why: str = ""
    """The reason why one of its processes was killed, if the runtime reports it."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of probes: the replicas listed before and after, and the answers by replica and address.

    LEAVING are terminating replicas that may still answer. ASIDE are replicas without requests, from a rollout in
    progress or from an interrupted one.
    """

    before: tuple[Replica, ...]
    after: tuple[Replica, ...]
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)
    leaving: tuple[Replica, ...] = ()
    aside: tuple[Replica, ...] = ()


def compare(manifest: Manifest, seen: Round, *, rpc: bool = False, extra: Sequence[str] = ()) -> list[str]:
    """Return every difference between SEEN and the release of MANIFEST; empty if all witnesses agree.

    With RPC, every replica must also have answered the RPC call. With EXTRA, it must have answered these paths with
    200.
    """
    wrong = compare_staying(manifest, seen, rpc=rpc, extra=extra)
    wrong += [f"{replica.name}: is {replica.state}" for replica in seen.leaving]
    return [*wrong, *(f"{replica.name}: is {replica.state} beside it, and gets no requests" for replica in seen.aside)]


def compare_staying(manifest: Manifest, seen: Round, *, rpc: bool = False, extra: Sequence[str] = ()) -> list[str]:
    """Return the differences that `compare` finds, without regard to replicas leaving or aside."""
    wrong: list[str] = []
    if not seen.before:
        wrong.append("no replica is running")
    if {r.instance for r in seen.before} != {r.instance for r in seen.after}:
        wrong.append("the replicas changed while they were asked")
    for replica in seen.before:
        if replica.state != "running":
            wrong.append(f"{replica.name}: is {replica.state}")
        if not replica.digests & manifest.image.digests:
            actual = ", ".join(sorted(replica.digests)) or "unknown"
            wrong.append(f"{replica.name}: runtime: expected image {manifest.image.digest}, actual {actual}")
    replicas = {replica.name: replica.instance for replica in seen.before}
    for way in sorted({*replicas, *seen.answers}):
        instances = {replicas[way]} if way in replicas else set(replicas.values())
        answers = seen.answers.get(way, {})
        wrong += [f"{way}: {line}" for line in _compare_probes(manifest, answers)]
        wrong += [f"{way}: {line}" for line in _compare_version(manifest, answers.get("version"), instances)]
        if rpc and way in replicas:
            wrong += [f"{way}: {line}" for line in compare_rpc(answers.get(RPC))]
        if way in replicas:
            wrong += [f"{way}: {line}" for path in extra for line in _compare_extra(path, answers.get(path))]
    if wrong:  # a killed process is not a failure by itself: the server may do without it
        wrong += [f"{replica.name}: {replica.why}" for replica in seen.before if replica.why]
    return wrong


def contradicts(manifest: Manifest, seen: Round) -> bool:
    """Return whether every replica of SEEN runs, and has another image or answers as another build than MANIFEST's."""
    return bool(seen.before) and all(
        replica.state == "running"
        and (
            not replica.digests & manifest.image.digests
            or _compare_version(manifest, seen.answers.get(replica.name, {}).get("version"), {replica.instance})
        )
        for replica in seen.before
    )


def describe(manifest: Manifest, answers: Mapping[str, Answer]) -> str:
    """Return a short summary of ANSWERS: the revision, and each probe's status."""
    version = answers.get("version")
    told = read_object(version) if version and version.status == OK else None
    revision = str((told or {}).get("revision", "no revision"))[:40]
    states = [f"{name} {answers[name].status or 'nothing'}" for name in sorted(manifest.probes) if name in answers]
    return ", ".join([revision, *states])


def started(answers: Mapping[str, Answer]) -> datetime.datetime | None:
    """Return the start time of the process behind ANSWERS, by its own account; None if that is missing or unusable."""
    version = answers.get("version")
    told = read_object(version) if version and version.status == OK else None
    try:
        at = datetime.datetime.fromisoformat(str((told or {}).get("startedAt")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _compare_probes(manifest: Manifest, answers: Mapping[str, Answer]) -> list[str]:
    wrong = []
    for name, path in sorted(manifest.probes.items()):
        answer = answers.get(name, Answer(status=0, body="not asked"))
        if answer.status != OK:
            wrong.append(f"{path}: expected HTTP 200, actual {_describe_failure(answer)}")
    return wrong


def _describe_failure(answer: Answer) -> str:
    body = excerpt(answer.body) if answer.status else ""
    return describe_answer(answer) + (f": {body}" if body else "")


def describe_answer(answer: Answer) -> str:
    """Return the status of ANSWER in words, or the reason if it has none."""
    return f"HTTP {answer.status}" if answer.status else f"no answer ({answer.body[:200]})"


def read_object(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object in ANSWER; None if it holds anything else."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _compare_version(manifest: Manifest, answer: Answer | None, instances: set[str]) -> list[str]:
    if answer is None or answer.status != OK:
        return []
    path = manifest.probes["version"]
    told = read_object(answer)
    if told is None:
        return [f"{path}: expected a JSON object, actual {answer.body[:80]!r}"]
    wrong = [
        f"{path}: {key}: expected {value}, actual {str(told.get(key))[:100]}"
        for key, value in manifest.version.items()
        if told.get(key) != value
    ]
    instance = told.get("instance")
    if not isinstance(instance, str) or instance not in instances:
        listed = " or ".join(sorted(instances)) or "none"
        wrong.append(f"{path}: instance: expected {listed}, actual {str(instance)[:100]}")
    return wrong


def compare_rpc(answer: Answer | None) -> list[str]:
    """Return the reason if ANSWER is not a result of the RPC call; else empty."""
    if answer is None or answer.status != OK:
        return [f"rpc: expected HTTP 200, actual {describe_answer(answer or Answer(status=0, body='not asked'))}"]
    told = read_object(answer)
    if told is None or told.get("jsonrpc") != "2.0" or "result" not in told:
        return [f"rpc: expected a JSON-RPC result, actual {answer.body[:80]!r}"]
    return []


def _compare_extra(path: str, answer: Answer | None) -> list[str]:
    if answer is None:
        return [f"{path}: expected HTTP 200, actual no answer (not asked)"]
    if answer.status == OK:
        return []
    return [f"{path}: expected HTTP 200, actual {_describe_failure(answer)}"]


def excerpt(body: str) -> str:
    """Return the beginning of BODY in one line, for a message, with secrets masked by their names."""
    line = "".join(char if char.isprintable() else " " for char in body[: 10 * SHOWN])
    for pattern in SECRET:
        line = pattern.sub(r"\1***", line)
    line = " ".join(line.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
