"""What the lab's own API server was asked of pods, and what they answered: its audit log."""

import json
from collections.abc import Iterator

from lab import children
from lab.cluster import HOME

SECOND = len("2026-01-01T00:00:00")
"""How much of a time stamp events and the log have in common."""


def answered(namespace: str, path: str) -> Iterator[tuple[str, str]]:
    """Return which pod of NAMESPACE answered PATH with 200, through the API server's proxy, and in which second."""
    files = sorted((HOME / "log").glob("audit*.log"))
    if not files:
        raise children.LabError("the API server that runs keeps no audit log: tests/lab/cluster/down, and up again")
    for file in files:
        for line in file.read_text().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue  # the last one, half written
            of, code = told["objectRef"], told.get("responseStatus", {}).get("code")
            if of.get("namespace") == namespace and code == 200 and told["requestURI"].endswith(f"/proxy{path}"):
                yield of["name"].partition(":")[0], told["stageTimestamp"][:SECOND]
