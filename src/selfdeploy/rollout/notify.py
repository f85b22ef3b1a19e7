"""Notification of a rollout's outcome by command and webhook, in the background; a failure never fails the release."""

import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from selfdeploy import config, errors, process
from selfdeploy.environments import record
from selfdeploy.process import surroundings

SCHEMA = 1

DEADLINE = 10.0
"""Seconds for a command or an address to accept a notification; a release waits for it only at its very end."""

_under_way: list[tuple[threading.Thread, float]] = []
_failures: list[str] = []


def describe(environment: str, url: str, known: record.Record) -> dict[str, object]:
    """Return the notification of the last attempt in KNOWN, the record of ENVIRONMENT at URL, as JSON data.

    `event` is `proven` if the attempt proved its own release, else `failed`. `held` is its digest if it is on hold now.
    `runs` is the last proven revision.
    """
    last = known.attempts[0]
    return {
        "schema": SCHEMA,
        "event": "proven" if last.has_settled and not last.ending.startswith("put back") else "failed",
        "environment": environment,
        "url": url,
        "revision": last.revision,
        "digest": last.digest,
        "release": last.release,
        "ending": last.ending,
        "held": last.digest if last.digest in known.holds else None,
        "runs": known.proven[0].revision if known.proven else None,
        "who": last.who,
        "run": last.run or None,
        "began": last.began,
        "ended": last.ended,
        "seconds": dict(last.seconds),
    }


def tell(project: config.Project, environment: str, url: str, known: record.Record) -> None:
    """Send the outcome of the last attempt in KNOWN to PROJECT's command and webhook; return at once."""
    settings = project.notify
    if not (settings.command or settings.webhook):
        return
    text = json.dumps(describe(environment, url, known))
    if settings.command:
        _start(settings.command[0], lambda: _run(settings.command, text))
    if settings.webhook:
        _start(urlsplit(settings.webhook).hostname or "webhook", lambda: _post(settings.webhook, text))


def _start(name: str, send: Callable[[], None]) -> None:
    def attempt() -> None:
        try:
            send()
        except errors.SelfdeployError as exc:
            _failures.append(f"notify: {name}: {exc.message.splitlines()[0]}")

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    _under_way.append((thread, time.monotonic() + DEADLINE))


def _run(argv: tuple[str, ...], text: str) -> None:
    process.run(argv, timeout=DEADLINE, stdin=text, env=surroundings.read("command"))


def _post(address: str, text: str) -> None:
    import requests  # noqa: PLC0415 -- only who has an address needs it

    headers = {"Content-Type": "application/json", "User-Agent": "selfdeploy"}
    try:
        answer = requests.post(address, text.encode(), headers=headers, timeout=DEADLINE / 2, allow_redirects=False)
    except requests.RequestException as exc:
        raise errors.CommandFailed(type(exc).__name__) from exc  # its text has the address, which may be a secret
    if not answer.ok:
        raise errors.CommandFailed(f"HTTP {answer.status_code}")


def finish(note: Callable[[str], None]) -> None:
    """Wait until all notifications are sent or time out; NOTE one line per failure."""
    while _under_way:
        thread, ends = _under_way.pop()
        thread.join(max(0.0, ends - time.monotonic()))
        if thread.is_alive():
            _failures.append(f"notify: not taken within {DEADLINE:g} s")
    while _failures:
        note(_failures.pop(0))
