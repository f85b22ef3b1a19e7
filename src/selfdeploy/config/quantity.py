"""Amounts of memory and of CPU, written as Kubernetes writes them: `512Mi`, `1.5`, `250m`."""

import decimal
import re
from typing import Annotated

import pydantic

from selfdeploy.config.values import Value

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"

LEAST_MEMORY = 6 << 20
"""Bytes below which Docker refuses a limit (docker run, --memory)."""

LEAST_CPUS = decimal.Decimal("0.01")
"""What Docker takes at least (docker run, --cpus)."""


def memory(text: str) -> int:
    """Return the bytes that TEXT stands for.

    Raises:
        ValueError: it is no amount of memory.
    """
    match = re.fullmatch(f"{NUMBER}(k|M|G|T|Ki|Mi|Gi|Ti)?", text)
    if not match:
        raise ValueError(f"{text!a}: not an amount of memory; write 512Mi or 2Gi")
    return int(decimal.Decimal(match[1]) * UNITS[match[2] or ""])


def cpus(text: str) -> decimal.Decimal:
    """Return the number of CPUs that TEXT stands for.

    Raises:
        ValueError: it is no number of CPUs.
    """
    match = re.fullmatch(f"{NUMBER}(m)?", text)
    if not match:
        raise ValueError(f"{text!a}: not a number of CPUs; write 2, 1.5 or 500m")
    return decimal.Decimal(match[1]) / (1000 if match[2] else 1)


def _enough_memory(text: str) -> str:
    if memory(text) < LEAST_MEMORY:
        raise ValueError(f"{text}: Docker takes no limit below 6Mi")
    return text


def _enough_cpus(text: str) -> str:
    if cpus(text) < LEAST_CPUS:
        raise ValueError(f"{text}: Docker takes no limit below 10m")
    return text


Memory = Annotated[str, pydantic.AfterValidator(_enough_memory)]
Cpus = Annotated[str, pydantic.AfterValidator(_enough_cpus)]


def limits(most_memory: str | None, most_cpus: str | None) -> dict[str, object]:
    """Return what a template takes of both limits: bytes and a number of CPUs; None where there is no limit."""
    return {
        "memory": memory(most_memory) if most_memory else None,
        "cpus": f"{cpus(most_cpus).normalize():f}" if most_cpus else None,
    }


class Limits(Value):
    """What one container is held to; nothing where there is no limit."""

    memory: Memory | None = pydantic.Field(None, description="Memory that the container is held to: `512Mi`, `2Gi`.")
    cpus: Cpus | None = pydantic.Field(None, description="CPUs that the container is held to: `2`, `1.5`, `500m`.")

    @property
    def limits(self) -> dict[str, object]:
        """The limits as Compose takes them: bytes, and a number of CPUs."""
        return limits(self.memory, self.cpus)
