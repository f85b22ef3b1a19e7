"""The state of an environment: its replicas, last proven release and troubles, in one line or in full."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from selfdeploy import ages, config, environments, errors, manifest
from selfdeploy.build import protection
from selfdeploy.config import overlay
from selfdeploy.environments import record
from selfdeploy.probes import witness
from selfdeploy.probes.witness import Replica
from selfdeploy.rollout import admission, retention
from selfdeploy.source import commits

VERDICTS = {
    "ok": "green",
    "on hold": "red",
    "differs": "red",
    "unreachable": "red",
    "down": "yellow",
    "unproven": "yellow",
    "cut off": "yellow",
}
"""The verdicts on an environment, and the colour of each on a terminal."""


NOT_WELL = errors.NotProven.exit_code
"""The exit code of `inv status --check` if an environment is not well."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of one environment: its replicas, last proven release, holds and lock holder."""

    name: str
    url: str
    replicas: Sequence[Replica] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    differs: Sequence[str] = ()
    proven: record.Proven | None = None
    holds: Mapping[str, str] = field(default_factory=dict)
    holder: str = ""
    cut_off: record.Attempt | None = None
    front: str = ""
    targets: Sequence[overlay.Target] = ()
    unprotected: Sequence[str] = ()
    subject: str = ""
    last: record.Attempt | None = None
    error: str = ""

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`; `down by USER` after `inv down`."""
        if self.error:
            return "unreachable"
        if self.proven is None:
            return "unproven"
        if not self.replicas:
            last = self.last
            return f"down by {last.who}" if last and last.ending == record.TAKEN_DOWN else "down"
        running = {digest for replica in self.replicas for digest in replica.digests}
        if running & self.holds.keys():
            return "on hold"
        if self.differs:
            return "differs"
        return "cut off" if self.cut_off else "ok"

    @property
    def is_well(self) -> bool:
        """True if it answers as its last proven release, with no attempt cut off and no image unprotected."""
        return self.verdict == "ok" and not self.unprotected

    def __str__(self) -> str:
        """Return it as `inv status` prints it: one line, with the troubles below."""
        parts = [f"{self.name:<9}", f"{self.verdict:<11}"]
        if self.proven:
            at = ages.since(self.proven.at)
            parts += [self.proven.revision[:12], *([self.subject] if self.subject else [])]
            parts.append(f"proven {at} ago" if at else "proven")
        lines = ["  ".join([*parts, self.url])]
        return "\n".join([*lines, *(f"    {line}" for line in self.describe_trouble())])

    def in_full(self) -> str:
        """Return it as `inv status --verbose` prints it, with digests, replicas and answers."""
        lines = [f"{self.name}  {self.url}  {self.verdict}", *(f"  target   {target}" for target in self.targets)]
        if self.error:
            return "\n".join([*lines, *(f"  {line}" for line in self.describe_trouble())])
        if self.proven:
            subject = f"  {self.subject}" if self.subject else ""
            lines.append(f"  proven   {self.proven.revision} at {self.proven.at}{subject}")
            lines += [f"           release {self.proven.release}", f"           image   {self.proven.digest}"]
        else:
            lines.append("  proven   nothing yet")
        lines += [f"  replica  {replica.name} is {replica.state}" for replica in self.replicas]
        lines += [] if self.replicas else ["  replica  none"]
        lines += [f"  front    {self.front}"] if self.front else []
        lines += [f"  answers  {way}: {told}" for way, told in self.answers.items()]
        return "\n".join([*lines, *(f"  {line}" for line in self.describe_trouble())])

    def describe_trouble(self) -> list[str]:
        """Return one line per trouble: error, difference, hold, cut-off attempt, lock, unprotected image."""
        lines = [f"error    {self.error}"] if self.error else []
        lines += [f"differs  {line}" for line in self.differs]
        lines += [f"on hold  {digest}: {why}" for digest, why in self.holds.items()]
        if self.cut_off:
            lines.append(f"cut off  {self.cut_off.revision}, {self.cut_off.origin}")
        lines += [f"locked   by {self.holder}"] if self.holder else []
        lines += [f"registry {line}" for line in self.unprotected]
        return lines

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return {
            "name": self.name,
            "url": self.url,
            "verdict": self.verdict,
            "subject": self.subject,
            "replicas": [
                {"name": r.name, "instance": r.instance, "state": r.state, "digests": sorted(r.digests)}
                for r in self.replicas
            ],
            "answers": dict(self.answers),
            "differs": list(self.differs),
            "proven": self.proven.model_dump(exclude={"manifest", "rendered", "envelope"}) if self.proven else None,
            "holds": dict(self.holds),
            "holder": self.holder,
            "front": self.front,
            "cutOff": self.cut_off.model_dump(exclude={"link"}) if self.cut_off else None,
            "unprotected": list(self.unprotected),
            "targets": [asdict(target) for target in self.targets],
            "error": self.error,
        }


def read(project: config.Project, name: str) -> Status:
    """Return the state of the environment NAME; an engine that does not answer becomes its `error`."""
    environment, targets = environments.connect(project, name), overlay.targets(project, name)
    try:
        known, holder = environment.read(), environment.held_by()
        common: dict[str, Any] = {
            "name": name,
            "url": environment.url,
            "targets": targets,
            "holds": known.holds,
            "holder": str(holder or ""),
            "front": environment.way_in,
            "last": known.attempts[0] if known.attempts else None,
            "cut_off": known.cut_off if known.cut_off and not known.cut_off.is_of(holder) else None,
        }
        if not known.proven:
            replicas = environment.replicas()
            return Status(**common, replicas=replicas, differs=admission.held_anyway(known, replicas))
        wanted = manifest.parse(known.proven[0].manifest.encode(), f"{name}: record")
        seen = environment.ask(wanted)
    except errors.SelfdeployError as exc:
        return Status(name=name, url=environment.url, error=exc.message, targets=targets)
    return Status(
        **common,
        replicas=seen.before,
        answers={way: _describe(wanted, answers) for way, answers in seen.answers.items()},
        differs=[
            *admission.held_anyway(known, seen.before),
            *witness.compare(wanted, seen, rpc=project.probes.rpc, extra=project.probes.extra),
        ],
        proven=known.proven[0],
        subject=commits.subject(project.source_path(), known.proven[0].revision),
        unprotected=_unprotected(project, name, known),
    )


def _unprotected(project: config.Project, name: str, known: record.Record) -> list[str]:
    """Return a line for the current and the previous release if a registry clean-up may delete it."""
    releases = {
        each.release: manifest.parse(each.manifest.encode(), f"{name}: record") for each in retention.kept(known)
    }
    roles = ("which runs here", "which inv rollback brings back")
    insecure = project.image.insecure
    lines = [
        protection.look(each, role, insecure=insecure) for each, role in zip(releases.values(), roles, strict=False)
    ]
    return list(dict.fromkeys(filter(None, lines)))


def _describe(wanted: manifest.Manifest, answers: Mapping[str, witness.Answer]) -> str:
    """Summarize ANSWERS, with the uptime of the answering process if known."""
    told, at = witness.describe(wanted, answers), witness.started(answers)
    if at is None:
        return told
    seconds = (datetime.datetime.now(datetime.UTC) - at).total_seconds()
    return f"{told}, up {ages.describe(seconds)}"


METRICS = {
    "selfdeploy_environment_ok": "gauge",
    "selfdeploy_environment_proven_timestamp_seconds": "gauge",
    "selfdeploy_environment_holds": "gauge",
    "selfdeploy_attempt_stage_seconds": "gauge",
}
"""The metrics of `inv status --metrics`, and the Prometheus type of each."""


def metrics(parts: Sequence[Status]) -> str:
    """Return PARTS in Prometheus' text format, for a scrape or for a node exporter's file."""
    lines = []
    for name, kind in METRICS.items():
        samples = [sample for part in parts for sample in _samples(part).get(name, ())]
        lines += [f"# TYPE {name} {kind}", *(f"{name}{labels} {value:.15g}" for labels, value in samples)]
    return "\n".join(lines)


def _samples(status: Status) -> dict[str, list[tuple[str, float]]]:
    own = {"environment": status.name}
    proven = ages.parse(status.proven.at) if status.proven else None
    took = status.last.seconds if status.last else {}
    verdict = status.verdict.partition(" by ")[0]
    return {
        "selfdeploy_environment_ok": [(_labels(own | {"verdict": verdict}), float(status.is_well))],
        "selfdeploy_environment_proven_timestamp_seconds": [(_labels(own), proven.timestamp())] if proven else [],
        "selfdeploy_environment_holds": [(_labels(own), float(len(status.holds)))],
        "selfdeploy_attempt_stage_seconds": [(_labels(own | {"stage": name}), each) for name, each in took.items()],
    }


def _labels(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()) + "}"
