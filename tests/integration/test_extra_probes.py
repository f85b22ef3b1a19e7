"""The site's own smoke: extra paths, asked from inside with the server's own token, as part of the proof."""

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from lab.liar import Liar, answer
from lab.site import BRISK, IMPATIENT, Site
from lab.vega import Site as Vega
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer

LONG = 'a"token/that is long'
Echo = Callable[[Mapping[str, str]], bytes | Iterable[bytes]]


def ask(folder: Path, told: Echo, *, own: bool = True, **variables: str) -> Answer:
    """Return what `probe.SCRIPT`, run by the machine's Node, says of a path that is TOLD by the request's headers."""
    with Liar(lambda _, headers: told(headers)) as there:
        question = json.dumps([there.port, 1000, {}, False, ["/api/x"], own, ["DATABASE_URL"]])
        argv = ["node", "-e", probe.SCRIPT, question]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables}
        asked = subprocess.run(argv, capture_output=True, timeout=20, check=True, env=env)
    return probe.read_answers(asked.stdout)["/api/x"]


def echo(status: int) -> Echo:
    return lambda headers: answer(json.dumps({"got": headers.get("authorization", "none")}).encode(), status=status)


def test_the_token_is_the_server_s_own_and_never_comes_out(tmp_path: Path) -> None:
    (tmp_path / ".sf").mkdir()
    (tmp_path / ".sf" / "token").write_text("of-the-file\n")

    from_file = ask(tmp_path, echo(500))
    from_variable = ask(tmp_path, echo(500), SF_AUTH_TOKEN=LONG)
    without = ask(tmp_path, echo(500), own=False, SF_AUTH_TOKEN=LONG)
    good = ask(tmp_path, echo(200))

    assert from_file == from_variable == Answer(status=500, body='{"got": "Bearer ***"}')
    assert without.body == '{"got": "none"}'
    assert good == Answer(status=200, body="")


@pytest.mark.parametrize("form", [LONG, json.dumps(LONG), "a%22token%2Fthat%20is%20long"])
def test_a_secret_of_the_server_is_hidden_in_every_form(tmp_path: Path, form: str) -> None:
    seen = ask(tmp_path, lambda _: answer(f"no {form} here".encode(), status=500), DATABASE_URL=LONG)

    assert seen.status == 500
    assert "token" not in seen.body
    assert "***" in seen.body


def test_a_body_is_bounded_and_has_to_end_in_time(tmp_path: Path) -> None:
    def dribble(_: Mapping[str, str]) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
        yield from iter(lambda: b"" if ended.wait(0.1) else b" ", b"")

    with Liar(lambda *_: b"") as unused:
        ended = unused.ended
        slow = ask(tmp_path, dribble)
        ended.set()

    assert ask(tmp_path, lambda _: answer(b"x" * 500_000)) == Answer(status=200)
    assert ask(tmp_path, lambda _: answer(b"x" * 2_000_000)).status == 0
    assert len(ask(tmp_path, lambda _: answer(b"x" * 500_000, status=500)).body) == 2000
    assert slow == Answer(status=0, body="none within probes.timeout, 1 s")


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_an_answer_that_does_not_come_in_time_names_the_key_that_gives_it_more(first: bytes) -> None:
    def hang(*_: object) -> Iterable[bytes]:
        yield first
        there.ended.wait(20)

    with Liar(hang) as there:
        seen = probe.get(f"http://{there.name}/", 0.2)

    assert seen == Answer(status=0, body="none within probes.timeout, 0.2 s")


def test_extra_paths_are_proven_and_a_put_back_needs_only_earlier_answers(clean: Site) -> None:
    state, unknown = "/api/live-state", "/api/nowhere"
    clean.configure(probes=f'{BRISK}\nextra = ["{state}"]')
    clean.commit("two")
    good = clean.inv("release")
    proven = clean.revision
    clean.configure(probes=f'{IMPATIENT}\nextra = ["{state}", "{unknown}"]')
    clean.commit("three")

    failed = clean.inv("release")
    plan = clean.inv("plan")

    assert good.returncode == 0, good.stderr
    assert failed.returncode == 51, failed.stderr
    assert f'{unknown}: expected HTTP 200, actual HTTP 404: {{"error":"no such route"}}' in failed.stderr
    assert state not in failed.stderr
    assert clean.version("test")["revision"] == proven
    assert "on hold" in plan.stdout


def test_a_replica_that_gives_an_extra_path_a_wrong_answer_is_not_the_release(clean: Site) -> None:
    clean.configure(probes=f'{IMPATIENT}\nextra = ["/api/live-state"]\nextra_token = false')

    refused = clean.inv("probe", "-e", "prod")

    assert refused.returncode == 50, refused.stderr
    assert '/api/live-state: expected HTTP 200, actual HTTP 401: {"error":"a token is needed"}' in refused.stderr


def test_vega_asks_them_too_and_puts_back_what_did_not_answer_them_before(live: Vega) -> None:
    live.good("vega.up")
    live.settle(probes='deadline = 5\nextra = ["/api/live-state"]')

    failed = live.inv("vega.restart")

    assert failed.returncode == 51, failed.stderr
    assert "/api/live-state: expected HTTP 200, actual HTTP 404: {}" in failed.stderr
    assert live.get("/api/version")["word"] == "one"
    live.checkout.edit('  "/api/write":', '  "/api/live-state": () => ({}),\n  "/api/write":')
    live.good("vega.restart", "--build")
    assert live.inv("probe", "-e", "vega").returncode == 0
    assert "/api/live-state 200" in live.good("vega.status")
