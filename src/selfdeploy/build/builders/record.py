"""The result of a builder: the digest that it pushed, or the reason for its failure."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfdeploy import errors, process

LINES = 15
"""Most lines of a failed builder's output to show."""


def run(
    argv: Sequence[str],
    what: str,
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    give: process.Giver | None = None,
) -> process.Outcome:
    """Run ARGV, which builds or pushes WHAT, to its end; GIVE writes its standard input.

    Raises:
        errors.BuildFailed: it failed; the hint is the end of its output.
        errors.CommandTimedOut: the TIMEOUT (seconds) passed; the hint is the same, and the setting to raise.
        errors.BuilderUnready: the program is missing.
    """
    try:
        if give is None:
            outcome = process.run(argv, timeout=timeout, env=env, cwd=cwd, check=False)
        else:
            outcome = process.feed(argv, give, timeout=timeout, env=env)
    except errors.ToolMissing as exc:
        raise errors.BuilderUnready(f"{what}: {exc.message}", f"install {argv[0]}, or choose another builder") from exc
    except errors.CommandTimedOut as exc:
        hint = "image.timeout in deploy.toml gives it more time"
        raise errors.CommandTimedOut(f"{what}: {exc.message}", f"{exc.hint}\n{hint}".strip()) from exc
    if outcome.code:
        raise errors.BuildFailed(f"{what}: {argv[0]} ended with exit code {outcome.code}", tail(outcome))
    return outcome


def tail(outcome: process.Outcome) -> str:
    """Return the end of a builder's standard error, or of its standard output if standard error is empty."""
    said = outcome.stderr.strip() or outcome.stdout.strip()
    return "\n".join(said.decode(errors="replace").splitlines()[-LINES:])


def digest(text: str, where: str) -> str:
    """Return the digest in TEXT, a builder's output at WHERE.

    Raises:
        errors.BuildFailed: TEXT is not a digest.
    """
    told = text.strip()
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", told):
        said = f"{told[:80]!a}" if told else "nothing"
        raise errors.BuildFailed(f"{where}: expected the digest of what was pushed, actual {said}", "see what it wrote")
    return told
