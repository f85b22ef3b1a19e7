import dataclasses
from dataclasses import replace

import pytest

from lab.values import CHILD, CONFIG, INDEX, OLDER, OTHER, a_manifest, a_replica, a_round, a_version, the_answers
from selfdeploy.probes.witness import RPC, Answer, Replica, Round, compare, contradicts, describe

MADE = a_manifest()
PING = Answer(status=200, body='{"jsonrpc": "2.0", "id": 1, "result": "pong"}')
LONGEST = 400
"""Characters of a line that a person still reads."""


@pytest.mark.parametrize("digest", [INDEX, CHILD, CONFIG])
def test_three_agreeing_witnesses_are_the_release_under_any_of_its_digests(digest: str) -> None:
    assert compare(MADE, a_round(MADE, a_replica(digest=digest))) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"revision": OLDER}, f"r: /api/version: revision: expected {'a' * 40}, actual {OLDER}"),
        ({"revision": None}, "revision: expected"),
        ({"release": OTHER}, f"release: expected {MADE.release}, actual {OTHER}"),
        ({"image": "127.0.0.1:5000/sf:latest"}, f"image: expected {MADE.image.reference}"),
        ({"instance": "other"}, "instance: expected i, actual other"),
        ({"instance": None}, "instance: expected i, actual None"),
    ],
)
def test_a_process_or_manifest_that_disagrees_is_named_with_both_values(told: dict[str, object], said: str) -> None:
    wrong = compare(MADE, a_round(MADE, **told))

    assert [line for line in wrong if said in line] == wrong
    assert len(wrong) == 1


def test_a_runtime_that_disagrees_is_named_though_the_process_says_otherwise() -> None:
    wrong = compare(MADE, a_round(MADE, a_replica(digest=OTHER)))

    assert wrong == [f"r: runtime: expected image {INDEX}, actual {OTHER}"]


def test_a_replica_whose_image_the_runtime_does_not_know_is_not_proven() -> None:
    replica = Replica(name="r", instance="i", digests=frozenset())

    assert compare(MADE, a_round(MADE, replica)) == [f"r: runtime: expected image {INDEX}, actual unknown"]


@pytest.mark.parametrize("state", ["restarting", "exited", "paused", "created", ""])
def test_a_replica_that_answers_and_is_not_running_is_not_proven(state: str) -> None:
    assert compare(MADE, a_round(MADE, a_replica(state=state))) == [f"r: is {state}"]


def test_who_is_about_to_go_and_may_still_answer_is_wrong_and_named() -> None:
    seen = dataclasses.replace(a_round(MADE), leaving=(a_replica(name="old", state="terminating"),))

    assert compare(MADE, seen) == ["old: is terminating"]


def test_an_environment_without_a_replica_is_not_proven_though_something_answers() -> None:
    seen = Round(before=(), after=(), answers={"public": the_answers(MADE)})

    assert compare(MADE, Round(before=(), after=())) == ["no replica is running"]
    assert compare(MADE, seen) == [
        "no replica is running",
        "public: /api/version: instance: expected none, actual i",
    ]


def test_replicas_that_changed_while_they_were_asked_are_not_proven() -> None:
    seen = a_round(MADE)

    for after in ((), (a_replica(instance="j"),), (*seen.after, a_replica("s", "j"))):
        assert compare(MADE, replace(seen, after=after)) == ["the replicas changed while they were asked"]


def test_a_replica_that_was_not_asked_is_not_proven() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")
    seen = a_round(MADE, first, second)
    only_first = replace(seen, answers={"r1": seen.answers["r1"]})

    assert compare(MADE, seen) == []
    assert compare(MADE, only_first) == [
        f"r2: {path}: expected HTTP 200, actual no answer (not asked)" for path in sorted(MADE.probes.values())
    ]


def test_one_of_many_replicas_that_is_older_is_named() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")
    seen = a_round(MADE, first, second)
    older = {**seen.answers, "r2": the_answers(MADE, instance="i2", revision=OLDER)}

    (line,) = compare(MADE, replace(seen, answers=older))

    assert line.startswith("r2: /api/version: revision: ")


def test_another_replica_s_answer_proves_nothing_from_inside() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")

    wrong = compare(MADE, a_round(MADE, first, second, instance="i1"))

    assert wrong == ["r2: /api/version: instance: expected i2, actual i1"]


def test_the_public_way_may_be_answered_by_any_replica_and_by_nobody_else() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")
    seen = a_round(MADE, first, second)

    def asked(instance: str) -> list[str]:
        answers = {**seen.answers, "public": the_answers(MADE, instance=instance)}
        return compare(MADE, replace(seen, answers=answers))

    assert asked("i1") == asked("i2") == []
    assert asked("i3") == ["public: /api/version: instance: expected i1 or i2, actual i3"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(status=302), "actual HTTP 302"),
        (Answer(status=204), "actual HTTP 204"),
        (Answer(status=503, body='{"ready": false}'), 'actual HTTP 503: {"ready": false}'),
        (Answer(status=0, body="ECONNREFUSED"), "actual no answer (ECONNREFUSED)"),
    ],
)
@pytest.mark.parametrize("probe", ["healthz", "ready", "version"])
def test_a_probe_that_does_not_answer_200_is_named(probe: str, answer: Answer, said: str) -> None:
    answers = {"r": {**the_answers(MADE), probe: answer}}

    assert compare(MADE, replace(a_round(MADE), answers=answers)) == [
        f"r: {MADE.probes[probe]}: expected HTTP 200, {said}"
    ]


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", '"x"', "null", "1" * 5_000, "[" * 60_000, '{"a":' * 60_000, "\ud800", "{}x"]
)
def test_a_version_that_is_no_json_object_is_named_in_a_line(body: str) -> None:
    answers = {"r": {**the_answers(MADE), "version": Answer(status=200, body=body)}}

    (line,) = compare(MADE, replace(a_round(MADE), answers=answers))

    assert "/api/version: expected a JSON object" in line
    assert len(line) < LONGEST


@pytest.mark.parametrize("odd", [None, True, 7, 1.5, [], ["a"], {}, {"a": {}}, "", "x" * 60_000, [[["x" * 60_000]]]])
def test_values_of_another_kind_prove_nothing_and_stay_short(odd: object) -> None:
    told = dict.fromkeys(("revision", "release", "image", "instance"), odd)

    wrong = compare(MADE, a_round(MADE, **told))

    assert [line.split(": ")[2] for line in wrong] == ["revision", "release", "image", "instance"]
    assert max(map(len, wrong)) < LONGEST


def test_an_instance_that_only_looks_like_the_replica_s_proves_nothing() -> None:
    replica = a_replica(instance="123456789012")

    assert compare(MADE, a_round(MADE, replica)) == []
    assert len(compare(MADE, a_round(MADE, replica, instance=123456789012))) == 1


def test_an_endless_reason_stays_short() -> None:
    answers = {"r": {**the_answers(MADE), "ready": Answer(status=0, body="x" * 60_000)}}

    (line,) = compare(MADE, replace(a_round(MADE), answers=answers))

    assert len(line) < LONGEST


def test_further_keys_of_a_version_are_welcome() -> None:
    answers = {"r": {**the_answers(MADE), "version": a_version(MADE, name="sf", startedAt="t")}}

    assert compare(MADE, replace(a_round(MADE), answers=answers)) == []


def test_the_rpc_call_counts_only_where_it_is_asked_for() -> None:
    seen = a_round(MADE)
    answered = replace(seen, answers={"r": {**seen.answers["r"], RPC: PING}})

    assert compare(MADE, seen) == compare(MADE, answered, rpc=True) == []
    assert compare(MADE, seen, rpc=True) == ["r: rpc: expected HTTP 200, actual no answer (not asked)"]


def test_the_rpc_call_is_made_from_inside_only() -> None:
    seen = a_round(MADE)
    answers = {"r": {**seen.answers["r"], RPC: PING}, "public": the_answers(MADE)}

    assert compare(MADE, replace(seen, answers=answers), rpc=True) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(status=401), "rpc: expected HTTP 200, actual HTTP 401"),
        (Answer(status=0, body="TimeoutError"), "rpc: expected HTTP 200, actual no answer (TimeoutError)"),
        (Answer(status=200, body="pong"), "rpc: expected a JSON-RPC result, actual 'pong'"),
        (Answer(status=200, body='{"result": 1}'), "rpc: expected a JSON-RPC result"),
        (Answer(status=200, body='{"jsonrpc": "2.0", "error": {"code": -32601}}'), "rpc: expected a JSON-RPC result"),
        (Answer(status=200, body="x" * 60_000), "rpc: expected a JSON-RPC result"),
    ],
)
def test_an_rpc_answer_without_a_result_is_named(answer: Answer, said: str) -> None:
    seen = a_round(MADE)

    (line,) = compare(MADE, replace(seen, answers={"r": {**seen.answers["r"], RPC: answer}}), rpc=True)

    assert line.startswith(f"r: {said}")
    assert len(line) < LONGEST


def asked_for(path: str, answer: Answer | None) -> list[str]:
    """Return what is wrong with a release whose replica gave ANSWER to the extra PATH."""
    seen = a_round(MADE)
    answers = {**seen.answers["r"], **({path: answer} if answer else {})}
    return compare(MADE, replace(seen, answers={"r": answers, "public": the_answers(MADE)}), extra=[path])


def test_every_replica_must_answer_an_extra_path_and_the_public_way_need_not() -> None:
    assert asked_for("/api/x", Answer(status=200)) == []
    assert asked_for("/api/x", None) == ["r: /api/x: expected HTTP 200, actual no answer (not asked)"]
    assert asked_for("/api/x", Answer(status=0, body="TimeoutError")) == [
        "r: /api/x: expected HTTP 200, actual no answer (TimeoutError)"
    ]


def test_a_failing_body_is_shown_in_one_short_line() -> None:
    (line,) = asked_for("/api/x", Answer(status=500, body='{"error":\n\x1b[31m "no module"}' + "x" * 5000))

    assert line.startswith('r: /api/x: expected HTTP 200, actual HTTP 500: {"error": [31m "no module"}xxx')
    assert len(line) < LONGEST
    assert line.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        "Authorization: Bearer s3cr3t-s3cr3t",
        '{"headers": {"authorization": "Basic s3cr3t"}}',
        '{"SF_AUTH_TOKEN":"s3cr3t"}',
        "{'api_key': 's3cr3t', x: 1}",
        "password=s3cr3t&next=/",
        "DB_PASSWORD: s3cr3t",
        r'{"body": "{\"client_secret\": \"s3cr3t\"}"}',
        "connect postgres://sf:s3cr3t@db/sf failed",
        '{"session-cookie": "s3cr3t\\" s3cr3t"}',
        '{"apiKey": "s3cr3t',
    ],
)
def test_what_is_named_like_a_secret_is_not_shown(body: str) -> None:
    (line,) = asked_for("/api/x", Answer(status=500, body=body))

    assert "s3cr3t" not in line
    assert "***" in line


def test_replicas_that_all_answer_as_another_build_contradict_the_release() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")

    assert contradicts(MADE, a_round(MADE, first, second, revision=OLDER))
    assert contradicts(MADE, a_round(MADE, a_replica(digest=OTHER)))


def test_a_release_that_may_still_come_is_not_contradicted() -> None:
    first, second = a_replica("r1", "i1"), a_replica("r2", "i2")
    older = a_round(MADE, first, second, revision=OLDER)
    silent = replace(older, answers={})
    one_is_new = replace(older, answers={**older.answers, "r2": the_answers(MADE, instance="i2")})
    starting = a_round(MADE, a_replica(digest=OTHER, state="created"))

    for seen in (a_round(MADE), Round(before=(), after=()), silent, one_is_new, starting):
        assert not contradicts(MADE, seen)


def test_what_was_answered_is_described_in_a_few_words() -> None:
    good = {name: Answer(status=200, body='{"revision": "r"}') for name in ("healthz", "ready", "version")}
    bad = {"ready": Answer(status=503), "version": Answer(status=0, body="ConnectionError")}

    assert describe(MADE, good) == "r, healthz 200, ready 200, version 200"
    assert describe(MADE, bad) == "no revision, ready 503, version nothing"
