from dataclasses import replace

import pytest

from lab.values import CHILD, HOLDER, INDEX, REVISION, a_manifest, a_project, a_proven, an_attempt
from selfdeploy import errors, manifest
from selfdeploy.environments import chain, record


def test_a_record_survives_a_round_trip() -> None:
    ended = record.Record().begin(an_attempt()).prove(a_proven(), "t").end("proven", "u").hold(CHILD, "why")
    value = chain.seal(a_project(), "prod", ended.begin(an_attempt()))

    assert record.parse(value.model_dump_json().encode(), "test") == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "test: "),
        (b" \n", "test: "),
        (b"{", "test: "),
        (b"[]", "test: "),
        (b'{"attempts": 1}', "test: attempts: "),
        (b'{"proven": [{"release": "r"}]}', "test: proven.0."),
        (b'{"holds": {"a": 1}}', "test: holds.a: "),
        (b'{"approved": true}', "test: approved: "),
        (b'{"seal": {"last": -1}}', "test: seal.last: "),
        (b'{"seal": {"signature": "%s"}}' % (b"0" * 1025), "test: seal.signature: "),
    ],
)
def test_a_damaged_record_is_refused_with_its_path(data: bytes, said: str) -> None:
    with pytest.raises(errors.RecordInvalid) as refused:
        record.parse(data, "test")

    assert refused.value.message.startswith(said)


def test_an_attempt_is_under_way_until_it_ends() -> None:
    began = record.Record().begin(an_attempt("r1")).end("proven", "t1").begin(an_attempt("r2"))

    ended = began.end("put back", "t2")

    assert [attempt.ending for attempt in began.attempts] == [record.UNDER_WAY, "proven"]
    assert [(a.release, a.ending, a.ended) for a in ended.attempts] == [
        ("r2", "put back", "t2"),
        ("r1", "proven", "t1"),
    ]


def test_the_last_hundred_attempts_are_kept() -> None:
    value = record.Record()

    for number in range(record.ATTEMPTS + 5):
        value = value.begin(an_attempt(str(number)))

    assert record.ATTEMPTS == 100
    assert [attempt.release for attempt in value.attempts] == [str(number) for number in range(104, 4, -1)]


def test_the_last_ten_proven_releases_are_kept() -> None:
    value = record.Record()

    for number in range(record.PROVEN + 5):
        value = value.prove(a_proven(str(number)), "t")

    assert record.PROVEN == 10
    assert [proven.release for proven in value.proven] == [str(number) for number in range(14, 4, -1)]


def test_a_release_proven_again_comes_first_once_at_its_new_time() -> None:
    value = record.Record().prove(a_proven("r1"), "t1").prove(a_proven("r2"), "t2").prove(a_proven("r1"), "t3")

    assert [(proven.release, proven.at) for proven in value.proven] == [("r1", "t3"), ("r2", "t2")]


def test_the_same_release_with_other_settings_is_another_entry() -> None:
    value = record.Record().prove(a_proven(rendered="port 1"), "t1").prove(a_proven(rendered="port 2"), "t2")

    assert [(proven.rendered, proven.at) for proven in value.proven] == [("port 2", "t2"), ("port 1", "t1")]


def test_a_digest_is_on_hold_until_it_is_freed() -> None:
    held = record.Record().hold(INDEX, "failed").hold(CHILD, "failed too").hold(INDEX, "failed again")

    assert held.holds == {INDEX: "failed again", CHILD: "failed too"}
    assert held.unhold(INDEX).holds == {CHILD: "failed too"}
    assert held.unhold("sha256:other") == held


def test_a_record_is_never_changed_only_made_anew() -> None:
    before = record.Record().begin(an_attempt())

    before.prove(a_proven(), "t").hold(INDEX, "why").end("proven", "t").begin(an_attempt())

    assert before == record.Record().begin(an_attempt())


def test_a_proven_release_holds_all_that_brings_it_back() -> None:
    made = a_manifest()

    proven = record.Proven.of(made, "the compose file")

    assert manifest.parse(proven.manifest.encode()) == made
    assert (proven.release, proven.digest, proven.revision) == (made.release, INDEX, REVISION)
    assert (proven.rendered, proven.at) == ("the compose file", "")


@pytest.mark.parametrize(
    ("ending", "settled"),
    [
        ("proven", True),
        ("put back, proven", True),
        ("rolled back, proven", True),
        ("not proven", False),
        ("put back, not proven", False),
        ("down", False),
        (record.UNDER_WAY, False),
    ],
)
def test_an_attempt_has_settled_when_the_environment_was_proven_in_the_end(ending: str, settled: bool) -> None:  # noqa: FBT001
    assert an_attempt().model_copy(update={"ending": ending}).has_settled is settled


def test_a_proven_release_is_named_by_a_prefix_of_a_digest_or_the_revision() -> None:
    proven = record.Proven.of(a_manifest(), "rendered")

    assert proven.is_named(proven.revision[:7])
    assert proven.is_named(proven.digest)
    assert proven.is_named(proven.release[:15])
    assert not proven.is_named(proven.revision[:6])
    assert not proven.is_named("sha256:")
    assert not proven.is_named("0" * 40)


def test_the_same_release_under_other_settings_is_not_the_same() -> None:
    assert a_proven("r", "c").is_same(a_proven("r", "c"))
    assert not a_proven("r", "c").is_same(a_proven("r", "d"))


def test_an_attempt_that_nobody_ended_is_cut_off_and_tells_who_began_it() -> None:
    ended = record.Record().begin(an_attempt()).end("proven", "t")
    begun = ended.begin(an_attempt().model_copy(update={"run": "https://forge.example/1"}))

    assert record.Record().cut_off is None
    assert ended.cut_off is None
    assert begun.cut_off == begun.attempts[0]
    assert begun.attempts[0].origin.startswith(f"begun {begun.attempts[0].began} by {begun.attempts[0].who}")
    assert begun.attempts[0].origin.endswith("(https://forge.example/1)")


def test_a_cut_off_attempt_keeps_its_ending_and_seconds_after_the_next_one() -> None:
    killed = an_attempt("r1").model_copy(update={"seconds": {"gates": 3.0}})

    ended = record.Record().begin(killed).begin(an_attempt("r2")).end("put back, proven", "t", {"gates": 1.0})

    assert [(a.release, a.ending, a.seconds) for a in ended.attempts] == [
        ("r2", "put back, proven", {"gates": 1.0}),
        ("r1", record.CUT_OFF, {"gates": 3.0}),
    ]


def test_an_attempt_belongs_only_to_the_holder_since_before_it_began() -> None:
    attempt = record.Attempt.of(a_proven(), HOLDER, "2024-01-01T00:00:05Z")
    since = replace(HOLDER, since="2024-01-01T00:00:05Z")

    assert attempt.is_of(since)
    assert not attempt.is_of(None)
    assert not attempt.is_of(replace(since, since="2024-01-01T00:00:06Z"))
    assert not attempt.is_of(replace(since, who="somebody@else"))
    assert not attempt.is_of(replace(since, run=""))


def test_a_rollback_takes_the_previous_release_or_resumes_a_cut_off_rollback() -> None:
    one, two, three = (
        a_proven(release=f"sha256:{n}").model_copy(update={"digest": f"sha256:{n}"}) for n in ("1", "2", "3")
    )
    ran = record.Record().prove(one, "t").prove(two, "t").prove(three, "t")

    def chosen(known: record.Record, name: str = "") -> str:
        found = known.choose(name)
        return found.release if found else ""

    def tried(which: record.Proven, ending: str = record.UNDER_WAY) -> record.Record:
        begun = ran.begin(record.Attempt.of(which, HOLDER, "t"))
        return begun if ending == record.UNDER_WAY else begun.end(ending, "t")

    assert chosen(tried(three, "proven")) == two.release
    assert chosen(tried(a_proven(release="sha256:4"), "not put back")) == three.release
    assert chosen(tried(a_proven(release="sha256:4"))) == three.release
    assert chosen(tried(one)) == one.release
    assert chosen(tried(one).hold(one.digest, "failed")) == three.release
    assert chosen(tried(three)) == three.release
    assert chosen(tried(three, "proven").hold(two.digest, "failed")) == one.release
    assert chosen(record.Record()) == ""
    assert chosen(ran, three.release[:6]) == ""


def test_what_was_cut_off_on_the_way_back_is_told_from_what_was_new() -> None:
    known = record.Record().prove(a_proven("r1"), "t1").prove(a_proven("r2"), "t2")

    going = {name: known.begin(an_attempt(name)).is_going_back for name in ("r1", "r2", "r3")}

    assert going == {"r1": True, "r2": False, "r3": False}
    assert not known.is_going_back


def test_what_is_noted_has_ended_when_it_began_and_stands_below_what_is_under_way() -> None:
    noted = record.Record().note(an_attempt("r1"), record.FREED)
    begun = record.Record().begin(an_attempt("r2")).note(an_attempt("r1"), record.FREED)

    assert [(one.release, one.ending, one.ended) for one in noted.attempts] == [("r1", "freed", an_attempt().began)]
    assert [one.release for one in begun.attempts] == ["r2", "r1"]
    assert begun.cut_off == begun.attempts[0]


def test_a_rollback_after_a_digest_was_freed_goes_where_it_would_have_gone_before() -> None:
    ran = record.Record().prove(a_proven("r1"), "t").prove(a_proven("r2"), "t").begin(an_attempt("r2"))
    proven = ran.end("proven", "t")

    freed = proven.note(an_attempt("r3"), record.FREED)
    down = proven.note(an_attempt("r2"), record.TAKEN_DOWN)

    assert freed.choose("") == proven.choose("") == proven.proven[1]
    assert down.choose("") == proven.proven[0]
