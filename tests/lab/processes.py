"""The processes of a container, as the host that runs it sees them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the host; the time of its start tells it from a later one of the same number."""

    pid: int
    started: str
    state: str
    line: str

    @property
    def lives(self) -> bool:
        """Whether it is still there, also as a zombie."""
        now = _read(self.pid)
        return now is not None and now.started == self.started


def _read(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:  # it has ended
        return None
    return Process(pid=pid, started=fields[19], state=fields[0], line=line)


def inside(first: int) -> tuple[Process, ...]:
    """Return all processes of the container whose first process is FIRST: those that count their numbers with it."""
    found = []
    try:
        counted = Path("/proc", str(first), "ns", "pid").stat().st_ino
    except OSError:
        return ()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            same = (folder / "ns" / "pid").stat().st_ino == counted
        except OSError:
            continue
        if same and (process := _read(int(folder.name))):
            found.append(process)
    return tuple(found)
