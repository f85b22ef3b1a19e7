"""Ask which build answers: every replica from inside and the public way, again and again until settled."""

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
from selfdeploy.witness import RPC, Answer, Round, compare_staying, contradicts

LIMIT = 64 * 1024
"""Bytes of an answer that are read at most."""

LARGE = 1 << 20
"""Bytes that are read at most of an extra path's answer, which is a page or a state and not a probe's few words."""

ENDED = ("exited", "dead", "restarting")
"""The states of a replica that will not answer any more, or not for long."""


DIRECT = {"http": "", "https": ""}
"""What requests takes for no proxy, whatever the environment has."""


def _open(session: requests.Session, url: str, timeout: float) -> requests.Response:
    # A server that is named by its address, or is on this machine, is asked itself. A public name is asked by the proxy
    # that the person has for it: without that it may be out of reach.
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
    """Return what stands for an answer that did not come within TIMEOUT seconds; it names the key of deploy.toml."""
    return f"none within probes.timeout, {timeout:g} s"


def get(url: str, timeout: float, limit: int = LIMIT) -> Answer:
    """Return what URL answers within TIMEOUT seconds: no cache, no redirect followed, at most LIMIT bytes."""
    ends = time.monotonic() + timeout
    try:
        with requests.Session() as session, _open(session, url, timeout) as response:
            body = b""
            # Byte by byte as they come: a larger chunk would be waited for, however slowly it trickles.
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
    """Return what each of PATHS, by name, answers below the address BASE."""
    return {name: get(base.rstrip("/") + path, timeout) for name, path in paths.items()}


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How many rounds were ASKED, and how many of them, the last ones, AGREED."""

    asked: int
    agreed: int

    def __str__(self) -> str:
        """Return it as a stage's line ends."""
        of = f" of {self.asked} asked" if self.asked > self.agreed else ""
        return f"{self.agreed} rounds in a row agree{of}"


Teller = Callable[[str, float, float], None]
"""Who is told what is waited for, since when and until when at most, in monotonic seconds."""

_tell: contextvars.ContextVar[Teller] = contextvars.ContextVar("tell", default=lambda *_: None)


@contextlib.contextmanager
def telling(tell: Teller) -> Iterator[None]:
    """Have TELL be told what `until_settled` waits for, until the block ends."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


def _obstacle(where: str, wrong: Sequence[str], agreed: int, settings: config.Probes) -> str:
    """Return what keeps WHERE from being settled: the first line of WRONG, or the rounds that are still to agree."""
    return f"waiting for {where}: {wrong[0] if wrong else f'{agreed} of {settings.consecutive} rounds agree'}"


def until_settled(
    manifest: Manifest, settings: config.Probes, ask: Callable[[], Round], where: str, patience: float = 0
) -> Settled:
    """Ask until `settings.consecutive` rounds in a row are the release of MANIFEST; return how many were asked.

    In the last of them nobody may be left who is about to go and still answers; that is waited for PATIENCE seconds.

    Raises:
        errors.NotProven: it did not settle within `settings.deadline` seconds, settled as another build, or a replica
            ended for good.
        errors.ReplicaHeldUp: it settled, and who is about to go did not go.
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
        if settled:  # from now on it is others that are waited for, and one answer that fails changes nothing of that
            ends = max(ends, began + patience)
        # What has answered as another build so often in a row has settled, and on that.
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
const [port, ms, paths, rpc, extra, own, secrets] = JSON.parse(process.argv[1]);
const ask = async (path, init, limit = 65536) => {
  try {
    const r = await fetch(`http://127.0.0.1:${port}${path}`,
      {redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(ms), ...init});
    let body = "";
    const decoder = new TextDecoder();
    for await (const chunk of r.body ?? []) {
      body += decoder.decode(chunk, {stream: true});
      if (body.length > limit) return {status: 0, body: "the answer is too long"};
    }
    return {status: r.status, body};
  } catch (e) {
    if (e.name === "TimeoutError") return {status: 0, body: `none within probes.timeout, ${ms / 1000} s`};
    return {status: 0, body: String(e.cause?.code ?? e.name)};
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
"""What node runs inside a replica to ask it: one JSON argument, one JSON object out.

The token is the server's own, read where it runs; it is never handed over. Of a failing body only the beginning comes
out, without that token and without the secrets that the argument names; of an extra path that answers, nothing.
"""


def question(manifest: Manifest, settings: config.Probes, secrets: Iterable[str] = ()) -> str:
    """Return the argument of `SCRIPT` that asks for MANIFEST's probes and for what SETTINGS add to them.

    SECRETS are the server's variables that no body may show.
    """
    return _argument(manifest.probes, settings, settings.extra, secrets)


def token_question(settings: config.Probes, secrets: Iterable[str] = ()) -> str:
    """Return the argument of `SCRIPT` that asks only for what needs the server's token by SETTINGS."""
    return _argument({}, settings, settings.extra if settings.extra_token else (), secrets)


def _argument(paths: Mapping[str, str], settings: config.Probes, extra: Sequence[str], secrets: Iterable[str]) -> str:
    milliseconds, own = settings.timeout * 1000, settings.extra_token
    return json.dumps([4000, milliseconds, dict(paths), settings.rpc, list(extra), own, sorted(secrets)])


def unanswered(question: str, why: str) -> dict[str, Answer]:
    """Return what the argument QUESTION of `SCRIPT` asks for as not answered; WHY goes into each answer."""
    _, _, paths, rpc, extra, *_ = json.loads(question)
    return dict.fromkeys([*paths, *extra, *([RPC] if rpc else [])], Answer(status=0, body=why))


def read_answers(data: bytes) -> dict[str, Answer]:
    """Return the answers that `SCRIPT` printed; each counts as none where it printed something else."""
    try:
        told: Any = json.loads(data)
        return {str(n): Answer(status=int(a["status"]), body=str(a["body"])) for n, a in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}
