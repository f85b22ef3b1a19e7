"""The environments' histories, verified: whether an entry was changed, removed or put in between."""

from dataclasses import asdict, dataclass

from selfdeploy import config, environments, errors, trust
from selfdeploy.environments import chain
from selfdeploy.shipped import guide


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The history of ENVIRONMENT, verified; MUST_BE_SIGNED if deploy.toml has keys."""

    environment: str
    verdict: chain.Verdict
    must_be_signed: bool = False

    @property
    def exit_code(self) -> int:
        """57 (HistoryBroken) if the chain is broken, 49 (Unsigned) if no trusted key vouches for it, else 0."""
        if self.verdict.faults:
            return errors.HistoryBroken.exit_code
        return errors.Unsigned.exit_code if self._lacks_signature else 0

    @property
    def _lacks_signature(self) -> bool:
        begun = self.verdict.entries or self.verdict.older or self.verdict.sealed
        return self.must_be_signed and bool(begun) and not self.verdict.trusted

    def __str__(self) -> str:
        """Return it for people: a line if the chain holds, and one more for each break and each lack."""
        found = self.verdict
        count = f"{found.entries} {'entry' if found.entries == 1 else 'entries'}"
        holds = f"the chain holds: {count}, since {found.since}" if found.entries else "no entry yet"
        lines = [f"{self.environment}: {'the chain is broken' if found.faults else holds}"]
        lines += map(str, found.faults)
        for name, numbers in sorted(found.signers.items(), reverse=True):
            if name:
                lines.append(f"{len(numbers)} signed by {name}")
            elif self.must_be_signed:
                lines.append(f"{len(numbers)} not signed: {', '.join(map(str, sorted(numbers)))}")
        if found.older:
            lines.append(f"{found.older} older, by a selfdeploy that kept no chain: not verified")
        if self._lacks_signature:
            by = f"signed by {found.sealed}" if found.sealed else "not signed"
            lines.append(f"its seal is {by}: anybody who can write the record can have written all of it")
        if found.faults:
            lines.append(guide.fit("somebody else has written the record: docs/trust.md#the-journal"))
        return "\n  ".join(lines)

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        found = self.verdict
        return {
            "environment": self.environment,
            "holds": not found.faults,
            "entries": found.entries,
            "since": found.since or None,
            "older": found.older,
            "signed": {name: sorted(numbers) for name, numbers in found.signers.items() if name},
            "unsigned": sorted(found.signers.get("", [])),
            "sealedBy": found.sealed or None,
            "trusted": found.trusted,
            "faults": [asdict(fault) for fault in found.faults],
        }


def verify(project: config.Project, name: str) -> Journal:
    """Return the verified history of the environment NAME."""
    known = environments.connect(project, name).read()
    return Journal(
        environment=name,
        verdict=chain.verify(project, name, known),
        must_be_signed=trust.is_asked(project),
    )
