"""The reports of a gate's test runners, recorded beside its log."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from selfdeploy.gates import text

PRELOAD = Path(__file__).with_name("recorder.cjs")
"""The script that every Node program of a test gate loads first: it listens to node's own runner, and names others."""

REPORT = re.compile(r"\s*(?:JSON report written to|Test results written to:) (.+)")
"""The line in which vitest and jest name their JSON report."""

LARGEST = 256 * 1024 * 1024
"""Size of the largest JSON report to read, in bytes."""


def environment(gate: Mapping[str, str], records: Path) -> dict[str, str]:
    """Return the environment GATE, extended so that its Node programs write to the file RECORDS."""
    quoted = str(PRELOAD).replace("\\", "\\\\").replace('"', '\\"')
    options = gate.get("NODE_OPTIONS", "")
    recording = {
        "NODE_OPTIONS": f'--require "{quoted}" {options}'.rstrip(),
        "SELFDEPLOY_NODE_OPTIONS": options,
        "SELFDEPLOY_TESTS": str(records),
    }
    return {**gate, **recording}


def read(records: Path, output: str, folder: Path) -> list[dict[str, object]]:
    """Return the RECORDS of the runners of a gate in FOLDER, and the totals of the JSON reports that OUTPUT names."""
    try:
        lines = records.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    left = [record for line in lines if isinstance(record := _parse(line), dict)]
    return [*left, *({"report": report} for report in _reports(text.lines(output), folder))]


def _parse(data: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _reports(lines: Iterable[str], folder: Path) -> Sequence[dict[str, int]]:
    """Return the totals of the JSON reports below FOLDER that LINES name, each report once."""
    named = dict.fromkeys(found[1] for line in lines if (found := REPORT.fullmatch(line)))
    totals = []
    for path in dict.fromkeys((folder / name).resolve() for name in named):
        if path.is_relative_to(folder.resolve()) and path.is_file() and path.stat().st_size <= LARGEST:
            value = _parse(path.read_text(encoding="utf-8", errors="replace"))
            if isinstance(value, dict) and "numTotalTests" in value:
                totals.append({name: n for name, n in value.items() if name.startswith("num") and isinstance(n, int)})
    return totals
