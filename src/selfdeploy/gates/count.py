"""The number of tests that ran, as a value; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

NAMED = 10
"""Most suites without tests that a line of progress names."""

FIELDS = ("passed", "failed", "skipped", "todo")


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many tests passed, failed, were skipped or were todo; `empty` names the files and suites without tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    todo: int = 0
    empty: tuple[str, ...] = ()

    @property
    def ran(self) -> int:
        """How many tests ran; skipped and todo tests did not."""
        return self.passed + self.failed

    def __add__(self, other: Self) -> "Count":
        """Return the sum of both counts."""
        numbers = {name: getattr(self, name) + getattr(other, name) for name in FIELDS}
        return Count(**numbers, empty=(*self.empty, *other.empty))

    def __str__(self) -> str:
        """Return the count in words, for a line of progress."""
        words = [f"{self.ran} test{'' if self.ran == 1 else 's'} ran"]
        words += [f"{getattr(self, name)} {name}" for name in FIELDS[1:] if getattr(self, name)]
        more = f" and {len(self.empty) - NAMED} more" if len(self.empty) > NAMED else ""
        empty = f"; without tests: {', '.join(self.empty[:NAMED])}{more}" if self.empty else ""
        return ", ".join(words) + empty

    def as_data(self) -> dict[str, object]:
        """Return the count in the form of the evidence."""
        return {"ran": self.ran, **{name: getattr(self, name) for name in FIELDS}, "withoutTests": list(self.empty)}

    @classmethod
    def of(cls, data: Mapping[str, object]) -> Self:
        """Return the count in DATA, keyed by the names of the fields; ignore anything else in it."""
        numbers = {name: value for name in FIELDS if isinstance(value := data.get(name), int) and value >= 0}
        names = data.get("empty", ())
        empty = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        return cls(**numbers, empty=tuple(empty))

    @classmethod
    def read(cls, evidence: object) -> "Count | None":
        """Return the count in EVIDENCE, a gate's `tests`; None if it holds none."""
        if not isinstance(evidence, dict) or "passed" not in evidence:
            return None
        return cls.of({**evidence, "empty": evidence.get("withoutTests")})
