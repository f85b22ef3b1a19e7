"""The chain of a history: whole as it was written, and broken where an entry was changed, removed or put in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.site import EVENTS
from lab.values import CHILD, a_project, a_proven, an_attempt, an_environment
from selfdeploy import config, errors
from selfdeploy.environments import chain, record
from selfdeploy.environments.kubernetes.record import ROOM, bounded
from selfdeploy.release import journal
from selfdeploy.trust import keys

PLAIN = a_project()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that gives this machine the key of a file."""
    for name in (keys.KEY, keys.FILE, keys.PASSWORD):
        monkeypatch.delenv(name, raising=False)
    return lambda path: monkeypatch.setenv(keys.FILE, str(path))


def written(known: record.Record, project: config.Project = PLAIN) -> record.Record:
    """Return KNOWN as the next process reads it after a write."""
    return record.parse(chain.seal(project, "prod", known).model_dump_json().encode(), "prod")


def grown(number: int, project: config.Project = PLAIN, known: record.Record | None = None) -> record.Record:
    """Return KNOWN after NUMBER more attempts, each begun and ended in a write of its own."""
    known = known or record.Record()
    for _ in range(number):
        count = sum(1 for _ in known.attempts)
        known = written(known.begin(an_attempt(f"r{count}").model_copy(update={"began": f"t{count}"})), project)
        known = written(known.prove(a_proven(f"r{count}"), "t").end("proven", "u"), project)
    return known


def read(told: dict[str, Any]) -> record.Record:
    return record.parse(json.dumps(told).encode(), "prod")


def faults(known: record.Record, project: config.Project = PLAIN) -> list[str]:
    return [str(fault) for fault in chain.verify(project, "prod", known).faults]


def test_a_history_that_nobody_touched_holds() -> None:
    known = grown(5)

    found = chain.verify(PLAIN, "prod", known)

    assert (found.faults, found.entries, found.since, found.older) == ([], 5, "t0", 0)
    assert [one.link and one.link.number for one in known.attempts] == [5, 4, 3, 2, 1]


def an_insertion(told: dict[str, Any]) -> None:
    told["attempts"].insert(2, {**told["attempts"][2], "who": "intruder"})


def a_bare_insertion(told: dict[str, Any]) -> None:
    told["attempts"].insert(2, {name: value for name, value in told["attempts"][2].items() if name != "link"})


def a_bare_one_on_top(told: dict[str, Any]) -> None:
    told["attempts"].insert(0, {name: value for name, value in told["attempts"][2].items() if name != "link"})


def one_under_way_below(told: dict[str, Any]) -> None:
    told["attempts"].insert(1, {**an_attempt().model_dump(), "began": "t9"})


def an_exchange(told: dict[str, Any]) -> None:
    told["attempts"][1:3] = reversed(told["attempts"][1:3])


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "a changed entry": (lambda told: told["attempts"][2].update(ending="not proven"), ["number 3, begun t2: changed"]),
    "the newest changed": (lambda told: told["attempts"][0].update(who="x"), ["number 5, begun t4: changed"]),
    "an ending undone": (lambda told: told["attempts"][0].update(ending="under way"), ["number 5, begun t4: changed"]),
    "one removed": (lambda told: told["attempts"].pop(2), ["number 3: removed"]),
    "two removed": (lambda told: told["attempts"].__delitem__(slice(1, 3)), ["numbers 3 to 4: removed"]),
    "the newest removed": (lambda told: told["attempts"].pop(0), ["number 5: removed"]),
    "the oldest removed": (lambda told: told["attempts"].pop(), ["number 1: removed"]),
    "all removed": (lambda told: told["attempts"].clear(), ["numbers 1 to 5: removed"]),
    "one put in": (an_insertion, ["number 3, begun t2: put in, or moved here"]),
    "one put in without a place": (a_bare_insertion, ["begun t2: put in, or moved here"]),
    "one put on top": (a_bare_one_on_top, ["begun t2: put in, or moved here"]),
    "one under way put in": (one_under_way_below, ["begun t9: put in, or moved here"]),
    "two exchanged": (an_exchange, ["number 3, begun t2: put in, or moved here", "number 3: removed"]),
    "the oldest without a place": (
        lambda told: told["attempts"][-1].pop("link"),
        ["begun t0: put in, or moved here", "number 1: removed"],
    ),
    "no seal": (lambda told: told.pop("seal"), ["the seal of the chain was removed"]),
    "no seal, and one changed": (
        lambda told: (told.pop("seal"), told["attempts"][1].update(who="x")),
        ["the seal of the chain was removed", "number 4, begun t3: changed"],
    ),
    "a hold removed": (lambda told: told["holds"].clear(), ["the proven releases or the holds were changed"]),
    "other settings to go back to": (
        lambda told: told["proven"][1].update(rendered="x"),
        ["the proven releases or the holds were changed"],
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_found_and_says_where(what: str) -> None:
    told = json.loads(written(grown(5).hold(CHILD, "why")).model_dump_json())
    edit, said = EDITS[what]

    edit(told)

    assert faults(read(told)) == said


@pytest.mark.parametrize(
    "what", [what for what in EDITS if what not in {"a hold removed", "other settings to go back to"}]
)
def test_what_was_found_is_found_after_the_next_attempts_too(what: str) -> None:
    told = json.loads(written(grown(5).hold(CHILD, "why")).model_dump_json())
    EDITS[what][0](told)

    assert faults(grown(3, known=read(told)))


WHOLE = json.loads(written(grown(4).hold(CHILD, "why")).model_dump_json())


@settings(max_examples=200)
@given(st.data())
def test_any_edit_of_one_value_is_found(data: st.DataObject) -> None:
    told = json.loads(json.dumps(WHOLE))
    entry = data.draw(st.sampled_from([*told["attempts"], *(one["link"] for one in told["attempts"]), told["seal"]]))
    name = data.draw(st.sampled_from([name for name, value in entry.items() if isinstance(value, str | int)]))
    other = {int: st.integers(min_value=1, max_value=9), str: st.text("0123456789abcdef", max_size=64)}
    before = entry[name]
    entry[name] = data.draw(other[type(before)].filter(lambda value: value != before))

    assert faults(read(told)) or (entry is told["seal"] and name in {"key", "signature"})


@settings(max_examples=100)
@given(st.permutations(range(4)), st.sets(st.integers(min_value=0, max_value=3)))
def test_any_other_order_or_choice_of_the_entries_is_found(order: list[int], left_out: set[int]) -> None:
    chosen = [number for number in order if number not in left_out]
    told = WHOLE | {"attempts": [WHOLE["attempts"][number] for number in chosen]}

    assert bool(faults(read(told))) == (chosen != [0, 1, 2, 3])


def test_what_is_under_way_cut_off_or_noted_beside_it_holds() -> None:
    begun = written(grown(2).begin(an_attempt("r2")))
    noted = written(begun.note(an_attempt("r3"), record.FREED))
    interrupted = written(noted.interrupt("now", {"test": 1.0}))
    cut = written(interrupted.begin(an_attempt("r4")))
    down = written(cut.cut().note(an_attempt("r5"), record.TAKEN_DOWN))
    ended = written(cut.end("put back, proven", "now"))

    assert [faults(each) for each in (begun, noted, interrupted, cut, down, ended)] == [[]] * 6
    assert [one.link and one.link.number for one in cut.attempts] == [None, 4, 3, 2, 1]
    assert [one.link and one.link.number for one in ended.attempts] == [5, 4, 3, 2, 1]


def test_each_write_of_one_process_is_whole_though_it_reads_none_of_them() -> None:
    known = grown(2).begin(an_attempt("r2"))
    first = written(known)
    second = written(known.cut().begin(an_attempt("r3")))
    third = written(known.cut().begin(an_attempt("r3")).end("proven", "now"))

    assert [faults(each) for each in (first, second, third)] == [[], [], []]


def test_a_hundred_entries_are_kept_and_one_less_is_found() -> None:
    known = grown(record.ATTEMPTS + 3)
    told = json.loads(known.model_dump_json())
    del told["attempts"][-2:]

    assert faults(known) == []
    assert [known.attempts[place].link.number for place in (0, -1)] == [103, 4]  # type: ignore[union-attr]
    assert faults(read(told)) == ["numbers 4 to 5: removed"]
    assert faults(grown(1, known=read(told))) == ["numbers 4 to 5: removed"]


def test_entries_dropped_for_want_of_room_are_not_missed() -> None:
    known = grown(4)
    large = known.prove(a_proven("large", "x" * (ROOM - 2000)), "t")

    sealed = chain.seal(PLAIN, "prod", large, lambda whole: bounded(whole, "prod"))
    began = chain.seal(PLAIN, "prod", sealed.begin(an_attempt()), lambda whole: bounded(whole, "prod"))
    none = chain.seal(PLAIN, "prod", large, lambda whole: whole.model_copy(update={"attempts": ()}))

    assert len(sealed.attempts) < 4
    assert [faults(each) for each in (sealed, began, none)] == [[], [], []]


def test_entries_of_a_selfdeploy_without_a_chain_stay_below_it() -> None:
    told = json.loads(record.Record(attempts=(an_attempt("a"), an_attempt("b"))).cut().model_dump_json())

    before, after = read(told), grown(2, known=read(told))

    assert "link" not in told["attempts"][0]
    assert [(found.entries, found.older, found.faults) for found in map(verdict, (before, after))] == [
        (0, 2, []),
        (2, 2, []),
    ]
    assert [one.link and one.link.number for one in after.attempts] == [2, 1, 0, 0]


def verdict(known: record.Record, project: config.Project = PLAIN) -> chain.Verdict:
    return chain.verify(project, "prod", known)


def test_a_record_with_the_fields_of_a_later_version_has_the_same_chain() -> None:
    class Later(record.Attempt):
        node: str = ""

    known = grown(2)
    later = tuple(Later(**one.model_dump(exclude={"link"}), link=one.link) for one in known.attempts)

    assert faults(known.model_copy(update={"attempts": later})) == []


def a_site(root: Path, *names: str, **trust: object) -> config.Project:
    for name in names:
        if not (root / f"{name}.pub").exists():
            keys.make(root / name, "")
    told = {"keys": [f"{name}.pub" for name in names], **trust}
    return a_project(root, trust=told, environments={"prod": an_environment(4100)})


@pytest.fixture
def signed(tmp_path: Path, no_key: Callable[[Path], None]) -> tuple[config.Project, record.Record]:
    """A history of which all but the second entry is signed."""
    project = a_site(tmp_path, "ours")
    no_key(tmp_path / "ours.key")
    first = grown(1, project)
    no_key(tmp_path / "lost.key")
    second = grown(1, project, first)
    no_key(tmp_path / "ours.key")
    return project, grown(2, project, second)


def test_each_entry_tells_its_signer_and_a_missing_key_stops_no_write(
    signed: tuple[config.Project, record.Record],
) -> None:
    project, known = signed

    found = verdict(known, project)

    assert (found.faults, found.sealed, found.trusted) == ([], "ours.pub", True)
    assert found.signers == {"ours.pub": [4, 3, 1], "": [2]}


def test_a_write_that_ends_nothing_leaves_the_seal_as_it_was_signed(
    signed: tuple[config.Project, record.Record], no_key: Callable[[Path], None], tmp_path: Path
) -> None:
    project, known = signed
    no_key(tmp_path / "lost.key")

    begun = written(known.begin(an_attempt()), project)
    ended = written(begun.end("not proven", "u"), project)

    assert begun.seal == known.seal
    assert [verdict(each, project).trusted for each in (begun, ended)] == [True, False]
    assert faults(ended, project) == []


def forged(known: record.Record) -> record.Record:
    """Return KNOWN with the ending of an entry changed and all hashes made anew, without a key."""
    unlinked = {"link": None}
    attempts = [one.model_copy(update=unlinked) for one in known.attempts]
    attempts[1] = attempts[1].model_copy(update={"ending": "not proven"})
    return written(known.model_copy(update={"attempts": tuple(attempts), "seal": None}))


def resigned(told: dict[str, Any], **changes: str) -> record.Record:
    told["seal"].update(changes)
    return read(told)


def test_who_has_no_key_can_sign_nothing(signed: tuple[config.Project, record.Record]) -> None:
    project, known = signed
    told = json.loads(known.model_dump_json())
    entry = {**told["attempts"][1], "who": "intruder"}
    swapped = {**told, "attempts": [told["attempts"][0], entry, *told["attempts"][2:]]}
    bad = resigned(json.loads(json.dumps(told)), signature="0" * 128)
    odd = resigned(json.loads(json.dumps(told)), signature="0")
    unsigned = json.loads(json.dumps(told))
    unsigned["attempts"][0]["link"].update(key="", signature="")

    assert faults(read(swapped), project) == ["number 3, begun t2: changed"]
    assert faults(bad, project) == ["the seal of the chain: its signature is not of ours.pub"]
    assert faults(odd, project) == ["the seal of the chain: its signature is not of ours.pub"]
    assert faults(read(unsigned), project) == ["number 4, begun t3: changed"]
    assert (faults(forged(known), project), verdict(forged(known), project).trusted) == ([], False)
    assert chain.verify(project, "test", known).faults == [
        chain.Fault(what="the seal of the chain: its signature is not of ours.pub")
    ]


def test_a_signature_of_another_entry_is_found(signed: tuple[config.Project, record.Record]) -> None:
    project, known = signed
    told = json.loads(known.model_dump_json())
    below = told["attempts"][3]["link"]
    del told["attempts"][:3]
    told["attempts"] = [{**told["attempts"][0], "who": "intruder", "link": {**below, "number": 1}}]
    forged_seal = chain.seal(PLAIN, "prod", read({"holds": told["holds"], "proven": told["proven"]}))
    assert forged_seal.seal
    told["seal"] = json.loads(forged_seal.model_dump_json())["seal"] | {"last": 1}
    told["seal"]["digest"] = chain._digest(read(told).attempts[0])  # noqa: SLF001 -- as an intruder computes it

    assert faults(read(told), project) == ["number 1, begun t0: its signature is not of ours.pub"]


@pytest.mark.parametrize(
    ("trust", "signer"),
    [
        ({"revoked": [{"key": "ours.pub", "since": "2026-11-30"}]}, "ours.pub, revoked since 2026-11-30"),
        ({"keys": ["next.pub"]}, "an unknown key "),
    ],
)
def test_a_revoked_or_unknown_signer_is_named_and_vouches_for_nothing(
    signed: tuple[config.Project, record.Record],
    tmp_path: Path,
    no_key: Callable[[Path], None],
    trust: dict[str, object],
    signer: str,
) -> None:
    project = a_site(tmp_path, "ours", "next", **trust)

    old = verdict(signed[1], project)
    no_key(tmp_path / "next.key")
    new = verdict(grown(1, project, signed[1]), project)

    assert old.sealed.startswith(signer)
    assert (old.trusted, old.faults) == (False, [])
    assert (new.sealed, new.trusted, new.faults) == ("next.pub", True, [])
    assert [name for name in new.signers if name.startswith(signer)]


def a_journal(found: chain.Verdict, *, must_be_signed: bool = True) -> journal.Journal:
    return journal.Journal(environment="prod", verdict=found, must_be_signed=must_be_signed)


def test_a_journal_says_who_signed_what_and_ends_with_a_code(signed: tuple[config.Project, record.Record]) -> None:
    project, known = signed
    told = json.loads(known.model_dump_json())
    del told["attempts"][0]

    good, loose, broken = (a_journal(verdict(each, project)) for each in (known, forged(known), read(told)))

    assert str(good).splitlines() == [
        "prod: the chain holds: 4 entries, since t0",
        "  3 signed by ours.pub",
        "  1 not signed: 2",
    ]
    assert "its seal is not signed" in str(loose)
    assert str(broken).splitlines()[:2] == ["prod: the chain is broken", "  number 4: removed"]
    assert [each.exit_code for each in (good, loose, broken)] == [
        0,
        errors.Unsigned.exit_code,
        errors.HistoryBroken.exit_code,
    ]
    EVENTS.validate(
        {"event": "result", "schema": 1, "at": "2026-12-01T00:00:00Z", "command": "history", "changed": []}
        | {"items": [each.as_data() for each in (good, loose, broken)]}
    )
    assert broken.as_data()["faults"] == [{"what": "removed", "number": 4, "last": 4, "began": ""}]


def test_without_keys_a_journal_asks_for_no_signature_and_a_new_one_for_nothing() -> None:
    plain, new = a_journal(verdict(grown(1)), must_be_signed=False), a_journal(verdict(record.Record()))
    older = a_journal(verdict(read({"attempts": [an_attempt().model_dump() | {"ending": "proven"}]})))

    assert (str(plain), plain.exit_code) == ("prod: the chain holds: 1 entry, since t0", 0)
    assert (str(new), new.exit_code) == ("prod: no entry yet", 0)
    assert older.exit_code == errors.Unsigned.exit_code
    assert "1 older, by a selfdeploy that kept no chain" in str(older)
