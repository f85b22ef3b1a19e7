"""The graph of the gates: the wanted ones, the ready ones, and their order; pure."""

import statistics
from collections.abc import Collection, Mapping, Sequence

from selfdeploy import config, errors


def select(gates: Mapping[str, config.Gate], names: Sequence[str]) -> dict[str, config.Gate]:
    """Return the gates NAMES and all their needs, in the order of GATES; every gate if NAMES is empty.

    Raises:
        errors.ConfigInvalid: no gate has that name.
    """
    wanted: set[str] = set()
    left = list(names or gates)
    while left:
        name = left.pop()
        if name not in gates:
            raise errors.ConfigInvalid(f"gates: no gate named {name!r}", f"the gates are {', '.join(gates)}")
        if name not in wanted:
            wanted.add(name)
            left.extend(gates[name].needs)
    return {name: gate for name, gate in gates.items() if name in wanted}


def depth(gates: Mapping[str, config.Gate], name: str) -> int:
    """Return the length of the longest chain of gates that wait for the gate NAME."""
    return max((1 + depth(gates, other) for other, gate in gates.items() if name in gate.needs), default=0)


def ready(left: Mapping[str, config.Gate], passed: Collection[str], order: Sequence[str] = ()) -> list[str]:
    """Return the gates of LEFT that can start after PASSED, in ORDER, or else the deepest (`depth`) first."""
    names = [name for name, gate in left.items() if all(need in passed for need in gate.needs)]
    return sorted(names, key=order.index if order else (lambda name: -depth(left, name)))


def rank(gates: Mapping[str, config.Gate], seconds: Mapping[str, float], jobs: int) -> list[str]:
    """Return the names of GATES in the order that ends soonest with JOBS at once, each taking its SECONDS.

    The longest chain of waiting gates comes first, unless the order of `depth` ends sooner, or no time is known. A gate
    with an unknown time takes the median of the known ones.
    """
    waited_for = sorted(gates, key=lambda name: -depth(gates, name))
    if not seconds:
        return waited_for
    usual = statistics.median(seconds.values())
    times = {name: seconds.get(name, usual) for name in gates}

    def chain(name: str) -> float:
        return times[name] + max((chain(other) for other, gate in gates.items() if name in gate.needs), default=0.0)

    longest = sorted(waited_for, key=lambda name: -chain(name))
    return min((longest, waited_for), key=lambda order: makespan(gates, times, jobs, order))


def makespan(gates: Mapping[str, config.Gate], times: Mapping[str, float], jobs: int, order: Sequence[str]) -> float:
    """Return the seconds until all GATES have passed, JOBS at once, started in ORDER, each taking its TIMES."""
    now, left, passed, under_way = 0.0, dict(gates), set[str](), dict[str, float]()
    while left or under_way:
        for name in ready(left, passed, order)[: jobs - len(under_way)]:
            del left[name]
            under_way[name] = now + times[name]
        now = min(under_way.values())
        ended = {name for name, end in under_way.items() if end <= now}
        passed |= ended
        under_way = {name: end for name, end in under_way.items() if name not in ended}
    return now
