"""The clauses of the probes: checks of a running server's answers, field by field; pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfdeploy.contract.clauses import Finding, broken, not_checked, ok
from selfdeploy.probes import witness
from selfdeploy.probes.witness import OK, Answer

REVISION = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REFERENCE = re.compile(r"[a-z0-9.\-\[\]:]+/[a-z0-9][a-z0-9._/-]*@sha256:[0-9a-f]{64}")
ADDRESS = re.compile(r"localhost|[0-9.]+|.*:.*|", re.IGNORECASE)
"""An address to listen on, as opposed to a host name."""

COMPARED = {"revision": "P4", "release": "P5", "image": "P6"}
"""The fields that have to equal the manifest's, with their clauses."""

TODO = {
    "P1": "answer GET /api/healthz with 200 as long as the process is alive, without a login or a redirect",
    "P2": "answer GET /api/ready with 200 once the server can serve; its own answer or log says what is missing",
    "P3": "answer GET /api/version with 200 and a JSON object, without a login or a redirect",
    "P4": "write SF_BUILD_REVISION into a file during the build, and read it from there; no variable changes it",
    "P5": "hash the bytes of the file that SF_RELEASE_MANIFEST names, as they are; null only without that file",
    "P6": "join image.repository, @ and image.digest of the manifest; null only without a manifest",
    "P7": "answer os.hostname(); HOSTNAME is the address that Next listens on",
    "P9": "take the three fields from the build and the manifest, never from the request or a cache of another build",
    "P11": "answer the path with 200 within probes.timeout, to the token unless extra_token = false; or drop the path",
    "P10": "POST {jsonrpc, id, method: ping} with the token as Bearer has to answer 200 and a JSON-RPC 2.0 result",
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The expected values: FIELDS of the version, and the host name as INSTANCE; empty if unknown."""

    fields: Mapping[str, object] = field(default_factory=dict)
    instance: str = ""


def check(rounds: Sequence[Mapping[str, Answer]], wanted: Wanted) -> list[Finding]:
    """Check ROUNDS of answers, by probe; return findings for P1 to P9. The first failing round decides."""
    findings = [_answered(number, name, rounds) for number, name in (("P1", "healthz"), ("P2", "ready"))]
    versions = [_read(answers.get("version")) for answers in rounds]
    bad = next((index for index, version in enumerate(versions) if version is None), None)
    if bad is not None:
        findings.append(_unreadable(rounds[bad].get("version")))
        return [*findings, *(not_checked(f"P{number}", "no version to read") for number in range(4, 10))]
    told = [version for version in versions if version is not None]
    findings.append(ok("P3", f"{len(rounds)} times HTTP 200"))
    findings += [_compared(number, name, told, wanted.fields) for name, number in COMPARED.items()]
    if not {"release", "image"} & set(wanted.fields):
        findings[-1] = _consistent(findings[-1], told[0])
    return [*findings, _instance(told, wanted.instance), _information(rounds[0], told[0]), _steady(told)]


def check_rpc(answer: Answer | None) -> Finding:
    """Check ANSWER, to the proof's RPC call; return the finding for P10."""
    if wrong := witness.compare_rpc(answer):
        expected, _, actual = wrong[0].removeprefix("rpc: expected ").partition(", actual ")
        return broken("P10", expected=expected, actual=actual, todo=TODO["P10"])
    return ok("P10", "HTTP 200 with a result")


def check_extra(answers: Mapping[str, Answer], paths: Sequence[str]) -> Finding:
    """Check ANSWERS, by path, to the extra PATHS; return the finding for P11."""
    for path in paths:
        answer = answers.get(path, Answer(status=0, body="not asked"))
        if answer.status != OK:
            actual = f"{path}: {witness.describe_answer(answer)}"
            return broken("P11", expected="HTTP 200", actual=actual, todo=TODO["P11"])
    return ok("P11", f"{len(paths)} answered") if paths else not_checked("P11", "probes.extra is empty")


def _answered(number: str, name: str, rounds: Sequence[Mapping[str, Answer]]) -> Finding:
    for answers in rounds:
        answer = answers.get(name, Answer(status=0, body="not asked"))
        if answer.status != OK:
            return _failed(number, answer)
    return ok(number, f"{len(rounds)} times HTTP 200")


def _failed(number: str, answer: Answer) -> Finding:
    return broken(number, expected="HTTP 200", actual=witness.describe_answer(answer), todo=TODO[number])


def _read(answer: Answer | None) -> dict[str, Any] | None:
    return witness.read_object(answer) if answer and answer.status == OK else None


def _unreadable(answer: Answer | None) -> Finding:
    answer = answer or Answer(status=0, body="not asked")
    if answer.status != OK:
        return _failed("P3", answer)
    return broken("P3", expected="a JSON object", actual=repr(answer.body[:80]), todo=TODO["P3"])


def _compared(number: str, name: str, told: Sequence[Mapping[str, Any]], wanted: Mapping[str, object]) -> Finding:
    shape = {"revision": REVISION, "release": DIGEST, "image": REFERENCE}[name]
    for version in told:
        value = version.get(name, "no such field")
        if name in wanted:
            if value != wanted[name]:
                return broken(number, expected=_shown(wanted[name]), actual=_shown(value), todo=TODO[number])
        elif not (isinstance(value, str) and shape.fullmatch(value)) and (value is not None or name == "revision"):
            return broken(number, expected=_shape(name), actual=_shown(value), todo=TODO[number])
    return ok(number, _shown(told[0].get(name)))


def _shape(name: str) -> str:
    return {
        "revision": "40 hexadecimal digits",
        "release": "sha256: and 64 hexadecimal digits, or null",
        "image": "REPOSITORY@sha256:..., or null",
    }[name]


def _shown(value: object) -> str:
    return value[:200] if isinstance(value, str) else json.dumps(value)[:200]


def _consistent(image: Finding, version: Mapping[str, Any]) -> Finding:
    """Return the finding IMAGE, or a broken one if only one of release and image is null."""
    if image.state == "ok" and (version.get("release") is None) != (version.get("image") is None):
        expected = "null with a release that is null" if version.get("release") is None else "an image beside a release"
        return broken("P6", expected=expected, actual=_shown(version.get("image")), todo=TODO["P6"])
    return image


def _instance(told: Sequence[Mapping[str, Any]], wanted: str) -> Finding:
    for version in told:
        value = version.get("instance", "no such field")
        if wanted and value != wanted:
            return broken("P7", expected=wanted, actual=_shown(value), todo=TODO["P7"])
        if "instance" not in version or not isinstance(value, str) or ADDRESS.fullmatch(value):
            return broken("P7", expected="the host name", actual=_shown(value), todo=TODO["P7"])
    return ok("P7", _shown(told[0]["instance"]))


def _information(answers: Mapping[str, Answer], version: Mapping[str, Any]) -> Finding:
    lacking = [name for name in ("name", "version") if not (isinstance(version.get(name), str) and version[name])]
    if witness.started(answers) is None:
        lacking.append("startedAt (ISO 8601 with a zone)")
    if lacking:
        return not_checked("P8", f"nothing compares it; reports would show {', '.join(lacking)}")
    return ok("P8", f"{_shown(version['name'])} {_shown(version['version'])}, since {_shown(version['startedAt'])}")


def _steady(told: Sequence[Mapping[str, Any]]) -> Finding:
    if len(told) == 1:
        return not_checked("P9", "asked once: probes.consecutive = 1")
    for name in COMPARED:
        values = list(dict.fromkeys(_shown(version.get(name)) for version in told))
        if len(values) > 1:
            return broken(
                "P9", expected=f"one {name} in {len(told)} answers", actual=" then ".join(values), todo=TODO["P9"]
            )
    return ok("P9", f"{len(told)} answers agree")
