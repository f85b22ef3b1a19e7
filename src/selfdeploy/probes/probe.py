"""Ask which build answers: every replica from inside, and the public address, repeatedly until settled."""

import contextlib
import contextvars
import ipaddress
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from selfdeploy import config, errors, net
from selfdeploy.manifest import Manifest
from selfdeploy.probes.witness import RPC, Answer, Round, compare_staying, contradicts

LIMIT = 64 * 1024
"""Longest answer to read, in bytes."""

LARGE = 1 << 20
"""Longest answer of an extra path to read, in bytes: a page or a state, not a probe's few words."""

ENDED = ("exited", "dead", "restarting")
"""States of a replica that will not answer any more, or not for long."""


DIRECT = {"http": "", "https": ""}
"""Proxy settings that make requests use no proxy, whatever the environment says."""


def _open(session: requests.Session, url: str, timeout: float) -> requests.Response:
    # A server on this machine, or named by its IP address, is asked directly. A public name is asked through the user's
    # proxy: without it the server may be out of reach.
    return session.get(
        url,
        timeout=timeout,
        allow_redirects=False,
        stream=True,
        headers={"Cache-Control": "no-cache"},
        proxies=DIRECT if requests.utils.get_environ_proxies(url) and _is_direct(url) else None,
        auth=lambda request: request,  # nothing from a netrc file
    )


def _is_direct(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return net.is_own(host)


def late(timeout: float) -> str:
    """Return the text for an answer that took longer than TIMEOUT seconds; it names the key in deploy.toml."""
    return f"none within probes.timeout, {timeout:g} s"


def get(url: str, timeout: float, limit: int = LIMIT) -> Answer:
    """Return the answer of URL within TIMEOUT seconds: no cache, no redirect followed, at most LIMIT bytes.

    A failure has status 0 and the reason as body.
    """
    ends = time.monotonic() + timeout
    try:
        with requests.Session() as session, _open(session, url, timeout) as response:
            body = b""
            # `read1` returns the bytes that are there; `read` would wait for a whole chunk, however slowly it trickles.
            while chunk := response.raw.read1(4096, decode_content=True):
                body += chunk
                if len(body) > limit or time.monotonic() > ends:
                    return Answer(status=0, body=f"the answer did not end within {limit} bytes and {timeout:g} s")
            return Answer(status=response.status_code, body=body.decode(errors="replace"))
    except (requests.Timeout, TimeoutError, urllib3.exceptions.TimeoutError):
        return Answer(status=0, body=late(timeout))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
        return Answer(status=0, body=type(exc).__name__)


def get_all(base: str, paths: Mapping[str, str], timeout: float) -> dict[str, Answer]:
    """Return the answers of PATHS, by name, below the address BASE."""
    return {name: get(base.rstrip("/") + path, timeout) for name, path in paths.items()}


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The number of rounds ASKED, and how many of the last ones in a row AGREED."""

    asked: int
    agreed: int

    def __str__(self) -> str:
        """Return the end of a stage's line."""
        of = f" of {self.asked} asked" if self.asked > self.agreed else ""
        return f"{self.agreed} rounds in a row agree{of}"


Teller = Callable[[str, float, float], None]
"""Receives the obstacle that a wait is for, its start and its latest end, in monotonic seconds."""

_tell: contextvars.ContextVar[Teller] = contextvars.ContextVar("tell", default=lambda *_: None)


@contextlib.contextmanager
def telling(tell: Teller) -> Iterator[None]:
    """Report the waits of `until_settled` to TELL inside the block."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def _obstacle(where: str, wrong: Sequence[str], agreed: int, settings: config.Probes) -> str:
    """Return the reason why WHERE is not settled: the first line of WRONG, or the number of rounds that agree."""
    return f"waiting for {where}: {wrong[0] if wrong else f'{agreed} of {settings.consecutive} rounds agree'}"


def until_settled(
    manifest: Manifest, settings: config.Probes, ask: Callable[[], Round], where: str, patience: float = 0
) -> Settled:
    """Ask until `settings.consecutive` rounds in a row show MANIFEST's release; return the number of rounds.

    In the last round, no terminating replica may still answer. The wait for that ends PATIENCE seconds after the start,
    but not before the deadline.

    Raises:
        errors.NotProven: it did not settle within `settings.deadline` seconds, settled as another build, or a replica
            ended for good.
        errors.ReplicaHeldUp: it settled, but a replaced replica did not terminate in time.
    """
    began = time.monotonic()
    ends = began + settings.deadline
    agreed = contradicted = asked = 0
    last: list[str] = []
    while True:
        due = time.monotonic() + settings.interval
        seen = ask()
        asked += 1
        wrong = compare_staying(manifest, seen, rpc=settings.rpc, extra=settings.extra)
        agreed, last = (0, wrong) if wrong else (agreed + 1, last)
        settled = agreed >= settings.consecutive
        if settled and not seen.leaving:
            return Settled(asked=asked, agreed=agreed)
        _tell.get()(_obstacle(where, wrong, agreed, settings), began, ends)
        if settled:  # from now on the wait is for leaving replicas; a failed round does not shorten it
            ends = max(ends, began + patience)
        # Replicas that answer as another build this often in a row have settled on that build.
        contradicted = contradicted + 1 if contradicts(manifest, seen) else 0
        if any(replica.state in ENDED for replica in seen.before) or contradicted > settings.consecutive:
            break
        if time.monotonic() > ends:
            break
        time.sleep(max(0.0, due - time.monotonic()))
    if settled:
        listed = ", ".join(replica.name for replica in seen.leaving)
        raise errors.ReplicaHeldUp(
            f"{where}: {listed}: told to end, and may still answer after {time.monotonic() - began:.0f} s",
            f"inv logs -e {where} shows what the server says",
        )
    if not wrong:
        rounds = f"{agreed} of {settings.consecutive} rounds in a row"
        over = f"{rounds} agreed within probes.deadline, {settings.deadline:g} s"
        wrong = [over, *(f"before those: {line}" for line in last)]
    listed = "".join(f"\n  {line}" for line in wrong)
    raise errors.NotProven(
        f"{where}: not proven to run {manifest.image.digest} of {manifest.source.revision}:{listed}",
        f"inv logs -e {where} shows what the server says; inv status shows what runs",
    )


SCRIPT = """
const {readFileSync} = require("node:fs");
const http = require("node:http");
const [port, ms, paths, rpc, extra, own, secrets] = JSON.parse(process.argv[1]);
const ask = async (path, {body, headers, ...init} = {}, limit = 65536) => {
  const signal = AbortSignal.timeout(ms);
  try {
    const response = await new Promise((resolve, reject) => {
      const plain = {accept: "*/*", "accept-encoding": "identity", "cache-control": "no-cache"};
      const how = {agent: false, signal, headers: {...plain, ...headers}, ...init};
      http.request(new URL(`http://127.0.0.1:${port}${path}`), how, resolve).on("error", reject).end(body);
    });
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) {
      text += chunk;
      if (text.length > limit) return {status: 0, body: "the answer is too long"};
    }
    return {status: response.statusCode, body: text};
  } catch (e) {
    if (signal.aborted) return {status: 0, body: `none within probes.timeout, ${ms / 1000} s`};
    return {status: 0, body: String(e.code ?? e.name)};
  }
};
const token = () => {
  if (process.env.SF_AUTH_TOKEN) return process.env.SF_AUTH_TOKEN;
  try { return readFileSync(`${process.env.HOME}/.sf/token`, "utf8").trim(); } catch { return ""; }
};
const call = () => ask("/api/rpc", {
  method: "POST", body: JSON.stringify({jsonrpc: "2.0", id: 1, method: "ping"}),
  headers: {"content-type": "application/json", authorization: `Bearer ${token()}`},
});
const hide = (text) => [token(), ...secrets.map((name) => process.env[name])]
  .filter((value) => value?.length > 3).sort((a, b) => b.length - a.length)
  .flatMap((value) => [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)])
  .reduce((kept, value) => kept.replaceAll(value, "***"), text);
const failing = (body) => hide(body).slice(0, 2000);
const probe = async (path) => {
  const {status, body} = await ask(path);
  return {status, body: status === 200 ? body : failing(body)};
};
const smoke = async (path) => {
  const headers = own ? {authorization: `Bearer ${token()}`} : {};
  const {status, body} = await ask(path, {headers}, 1048576);
  return {status, body: status === 200 ? "" : failing(body)};
};
(async () => {
  const names = Object.keys(paths);
  const asked = [...names.map((name) => probe(paths[name])), ...extra.map(smoke), ...(rpc ? [call()] : [])];
  const told = await Promise.all(asked);
  process.stdout.write(JSON.stringify(Object.fromEntries([...names, ...extra, "rpc"].map((n, i) => [n, told[i]]))));
})();
"""
"""The program for node inside a replica that probes it: one JSON argument, one JSON object out.

It asks by node:http, because `fetch` takes three times its processor time to load. The token is the server's own, read
in place, and never handed over. Of a failing body, only the beginning is printed, without that token and without the
secrets named in the argument. Of an extra path that answers, no body is printed.
"""


def question(manifest: Manifest, settings: config.Probes, secrets: Iterable[str] = ()) -> str:
    """Return the argument of `SCRIPT` for MANIFEST's probes and the additional ones in SETTINGS.

    SECRETS are the names of the server's variables to hide in every body.
    """
    return _argument(manifest.probes, settings, settings.extra, secrets)


def token_question(settings: config.Probes, secrets: Iterable[str] = ()) -> str:
    """Return the argument of `SCRIPT` for only the probes in SETTINGS with the server's token."""
    return _argument({}, settings, settings.extra if settings.extra_token else (), secrets)


def _argument(paths: Mapping[str, str], settings: config.Probes, extra: Sequence[str], secrets: Iterable[str]) -> str:
    milliseconds, own = settings.timeout * 1000, settings.extra_token
    return json.dumps([4000, milliseconds, dict(paths), settings.rpc, list(extra), own, sorted(secrets)])


def unanswered(question: str, why: str) -> dict[str, Answer]:
    """Return a missing answer, with the reason WHY, for each probe in QUESTION, an argument of `SCRIPT`."""
    _, _, paths, rpc, extra, *_ = json.loads(question)
    return dict.fromkeys([*paths, *extra, *([RPC] if rpc else [])], Answer(status=0, body=why))


def read_answers(data: bytes) -> dict[str, Answer]:
    """Return the answers printed by `SCRIPT`; empty if DATA has another shape."""
    try:
        told: Any = json.loads(data)
        return {str(n): Answer(status=int(a["status"]), body=str(a["body"])) for n, a in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}
