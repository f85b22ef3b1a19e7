"""The verdict on a gate, from its exit code and its log, and the error if it has not passed; pure."""

import shlex
from collections.abc import Sequence

from selfdeploy import config, errors
from selfdeploy.gates import counting, excerpt, scripts, text


def refusal(
    name: str,
    gate: config.Gate,
    code: int,
    output: str,
    *,
    timed_out: bool = False,
    log: str = "",
    blocked: Sequence[str] = (),
) -> errors.SelfdeployError | None:
    """Return the error of the gate NAME, which ended with CODE and OUTPUT; None if it has passed.

    LOG is the file with OUTPUT. BLOCKED are the packages with skipped scripts, by npm's own list.
    """
    lines = text.lines(counting.body(output))
    packages = scripts.blocked(lines, code)
    packages = list(blocked) if packages is None and blocked else packages
    start, alone = f"gate {name}: {shlex.join(gate.command)}", f"run it alone: nox -s gates -- {name}"
    end = "".join((f"; log: {log}" if log else "", "\n", excerpt.excerpt(lines))).rstrip()
    if timed_out:
        return errors.GateFailed(
            f"{start}: did not end within {gate.timeout:g} s{end}",
            f"it took too long: raise gates.override.{name}.timeout in deploy.toml, or {alone}",
        )
    if packages is not None:
        return errors.ScriptsBlocked(
            f"{start}: npm did not run the install scripts of {', '.join(packages) or 'some packages'}, "
            "which allowScripts in package.json does not cover",
            f"review them; then, in SF's checkout: {scripts.approval(gate.command, packages)}; commit package.json",
        )
    if code:
        return errors.GateFailed(f"{start}: exit code {code}{end}", alone)
    return _untested(name, gate, output, start, end)


def _untested(name: str, gate: config.Gate, output: str, start: str, end: str) -> errors.SelfdeployError | None:
    """Return the error if the gate NAME ran too few tests or none that can be counted; None if it ran enough.

    The error's message begins with START and ends with END.
    """
    if not counting.is_counted(gate):
        return None
    count, key = counting.count(output, gate.tests_pattern), f"gates.override.{name}"
    if count is None:
        what = f"no line that {key}.tests_pattern matches" if gate.tests_pattern else "no count of tests that is known"
        return errors.CountUnreadable(
            f"{start}: passed, but its log has {what}{end}",
            f"describe the line by {key}.tests_pattern in deploy.toml, as in tests_pattern = '{config.EXAMPLE}'",
        )
    if count.ran < gate.minimum_tests:
        return errors.GateFailed(
            f"{start}: {count}; at least {gate.minimum_tests} have to run{end}",
            f"write tests, or lower {key}.minimum_tests in deploy.toml",
        )
    return None
