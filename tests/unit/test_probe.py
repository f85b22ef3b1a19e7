import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.values import INDEX, OLDER, REVISION, a_manifest, a_replica, a_round
from selfdeploy import config, errors
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer, Round

MADE = a_manifest()
GOOD, OLD = a_round(MADE), a_round(MADE, revision=OLDER)
SOON = config.Probes(interval=0.001)


def in_turn(*rounds: Round) -> Callable[[], Round]:
    left: Iterator[Round] = iter(rounds)
    return lambda: next(left)


def test_as_many_rounds_in_a_row_as_the_config_says_settle_it() -> None:
    for consecutive in (1, 3):
        settings = config.Probes(interval=0.001, consecutive=consecutive)

        assert probe.until_settled(MADE, settings, in_turn(*[GOOD] * consecutive), "test").asked == consecutive


def test_one_older_answer_in_between_starts_the_count_anew() -> None:
    ask = in_turn(GOOD, GOOD, OLD, GOOD, GOOD, GOOD)

    assert probe.until_settled(MADE, SOON, ask, "test").asked == 6


def test_what_never_settles_is_not_proven_and_the_last_answers_say_why() -> None:
    settings = config.Probes(interval=0.001, deadline=0.01)

    with pytest.raises(errors.NotProven, match=f"^test: not proven to run {INDEX} of {REVISION}:\n") as refused:
        probe.until_settled(MADE, settings, lambda: OLD, "test")

    assert f"actual {OLDER}" in refused.value.message
    assert "inv logs -e test" in refused.value.hint


def test_what_agreed_too_late_is_not_proven() -> None:
    settings = config.Probes(interval=0.001, deadline=1e-9)

    with pytest.raises(errors.NotProven, match="\n  1 of 3 rounds in a row agreed within probes.deadline, 1e-09 s$"):
        probe.until_settled(MADE, settings, in_turn(GOOD, GOOD, GOOD), "test")


def test_what_settled_as_another_build_is_not_waited_for() -> None:
    with pytest.raises(errors.NotProven, match=f"actual {OLDER}"):
        probe.until_settled(MADE, SOON, in_turn(*[OLD] * (SOON.consecutive + 1)), "test")


def test_an_older_build_that_goes_away_is_waited_for() -> None:
    silent = Round(before=GOOD.before, after=GOOD.after)
    ask = in_turn(*[OLD] * SOON.consecutive, *[silent] * 5, *[OLD] * SOON.consecutive, *[GOOD] * SOON.consecutive)

    assert probe.until_settled(MADE, SOON, ask, "test").asked == 14


def going(seen: Round) -> Round:
    """SEEN, with one more that has been told to end and still answers."""
    return dataclasses.replace(seen, leaving=(a_replica(name="sf-old", state="terminating"),))


def test_who_is_about_to_go_is_waited_for_and_the_rounds_meanwhile_count() -> None:
    ask = in_turn(*[going(GOOD)] * 4, GOOD)

    assert probe.until_settled(MADE, SOON, ask, "test", patience=30).asked == 5


def test_an_older_answer_while_somebody_is_about_to_go_starts_the_count_anew() -> None:
    ask = in_turn(*[going(GOOD)] * 3, OLD, GOOD, GOOD, GOOD)

    assert probe.until_settled(MADE, SOON, ask, "test", patience=30).asked == 7


class Clock:
    """Time that passes as it is slept, and not otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(probe, "time", made)
    return made


def test_what_agreed_too_late_after_wrong_answers_tells_them_too(clock: Clock) -> None:
    settings = config.Probes(interval=0.001, deadline=0.5)
    ask = in_turn(OLD, GOOD, GOOD)

    def slow() -> Round:
        clock.sleep(0.2)
        return ask()

    with pytest.raises(errors.NotProven) as refused:
        probe.until_settled(MADE, settings, slow, "test")

    told = refused.value.message.splitlines()
    assert told[1] == "  2 of 3 rounds in a row agreed within probes.deadline, 0.5 s"
    assert told[2].startswith("  before those: ")
    assert OLDER in told[2]


def test_a_failing_answer_does_not_shorten_the_wait_for_leaving_replicas(clock: Clock) -> None:
    settings = config.Probes(interval=0.001, deadline=0.05)
    silent = Round(before=GOOD.before, after=GOOD.after)
    ask = in_turn(*[going(GOOD)] * 3, *[silent] * 3, *[GOOD] * 3)

    def slow() -> Round:
        clock.sleep(0.02)  # six rounds take longer than the deadline
        return ask()

    assert probe.until_settled(MADE, settings, slow, "test", patience=30).asked == 9


@pytest.mark.usefixtures("clock")
def test_a_replica_that_keeps_terminating_blocks_the_proof_and_is_named() -> None:
    settings = config.Probes(interval=0.001, deadline=0.01)

    with pytest.raises(errors.ReplicaHeldUp, match="^test: sf-old: told to end, and may still answer after"):
        probe.until_settled(MADE, settings, lambda: going(GOOD), "test", patience=0.02)


@pytest.mark.parametrize("state", probe.ENDED)
def test_a_replica_that_ended_is_not_waited_for(state: str) -> None:
    ended = a_round(MADE, a_replica(state=state))

    with pytest.raises(errors.NotProven, match=f"is {state}"):
        probe.until_settled(MADE, SOON, in_turn(ended), "test")


def test_an_rpc_call_without_an_answer_is_not_proven_where_the_config_wants_it() -> None:
    settings = config.Probes(interval=0.001, deadline=0.01, rpc=True)

    with pytest.raises(errors.NotProven, match="rpc: expected HTTP 200"):
        probe.until_settled(MADE, settings, lambda: GOOD, "test")


def test_what_is_asked_inside_are_the_manifest_s_probes() -> None:
    settings = config.Probes(timeout=1.5, rpc=True, extra=("/api/x",))

    port, milliseconds, paths, rpc, *more = json.loads(probe.question(MADE, settings, ["B", "A"]))

    assert (port, milliseconds, rpc) == (4000, 1500, True)
    assert more == [["/api/x"], True, ["A", "B"]]
    assert paths == {"healthz": "/api/healthz", "ready": "/api/ready", "version": "/api/version"}


def test_only_what_needs_the_token_is_asked_inside_where_the_rest_comes_another_way() -> None:
    asked = config.Probes(timeout=1.5, rpc=True, extra=("/api/x",))
    bare = asked.model_copy(update={"extra_token": False})

    assert json.loads(probe.token_question(asked)) == [4000, 1500, {}, True, ["/api/x"], True, []]
    assert json.loads(probe.token_question(bare)) == [4000, 1500, {}, True, [], False, []]


def test_rpc_and_extra_paths_need_the_token_unless_the_paths_go_without() -> None:
    kinds: list[dict[str, Any]] = [{}, {"rpc": True}, {"extra": ("/x",)}, {"extra": ("/x",), "extra_token": False}]

    assert [config.Probes(**kind).needs_token for kind in kinds] == [False, True, True, False]


def test_an_extra_path_that_does_not_answer_is_not_proven() -> None:
    settings = config.Probes(interval=0.001, deadline=0.01, extra=("/api/x",))

    with pytest.raises(errors.NotProven, match="/api/x: expected HTTP 200"):
        probe.until_settled(MADE, settings, lambda: GOOD, "test")


def test_what_was_not_answered_is_named_with_the_reason() -> None:
    question = probe.token_question(config.Probes(rpc=True, extra=("/api/x",)))

    assert probe.unanswered(question, "why") == dict.fromkeys(["/api/x", "rpc"], Answer(status=0, body="why"))


def test_answers_are_read_by_name() -> None:
    answers = probe.read_answers(b'{"ready": {"status": 200, "body": "x"}, "rpc": {"status": 0, "body": "E"}}')

    assert answers == {"ready": Answer(status=200, body="x"), "rpc": Answer(status=0, body="E")}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 60_000,
        b'{"ready": 1}',
        b'{"ready": {"status": 200}}',
        b'{"ready": {"status": "x", "body": ""}}',
        b'{"ready": {"status": null, "body": ""}}',
        b'{"ready": {"status": 1e999, "body": ""}}',
    ],
)
def test_answers_that_are_none_count_as_none(data: bytes) -> None:
    assert probe.read_answers(data) == {}


def test_an_address_that_is_none_answers_nothing() -> None:
    for url in ("", "ftp://x", "http://", "http://[", "http://a b/"):
        assert probe.get(url, 1.0).status == 0


def test_of_the_rounds_asked_those_are_told_that_agreed_in_the_end() -> None:
    settled = probe.until_settled(MADE, SOON, in_turn(GOOD, OLD, GOOD, GOOD, GOOD), "test")

    assert (settled.asked, settled.agreed) == (5, 3)
    assert str(settled) == "3 rounds in a row agree of 5 asked"
    assert str(probe.Settled(asked=3, agreed=3)) == "3 rounds in a row agree"


def test_what_is_waited_for_is_told_while_it_is() -> None:
    told: list[str] = []

    with probe.telling(lambda what, began, ends: told.append(what) if ends > began else None):
        probe.until_settled(MADE, SOON, in_turn(OLD, GOOD, GOOD, GOOD), "test")
    probe.until_settled(MADE, SOON, in_turn(GOOD, GOOD, GOOD), "test")

    assert told[0].startswith("waiting for test: ")
    assert f"actual {OLDER}" in told[0]
    assert told[1:] == ["waiting for test: 1 of 3 rounds agree", "waiting for test: 2 of 3 rounds agree"]
