from lab.values import CHILD, INDEX, OTHER, a_proven, an_attempt
from selfdeploy.environments import record
from selfdeploy.rollout import retention


def proven(*pairs: tuple[str, str]) -> record.Record:
    """The record of releases with their digests, proven one after the other, the first one first."""
    value = record.Record()
    for release, digest in pairs:
        value = value.prove(a_proven(release).model_copy(update={"digest": digest}), "t")
    return value


def test_the_present_release_and_the_one_before_it_are_kept() -> None:
    known = proven(("r1", INDEX), ("r2", CHILD), ("r3", OTHER))

    assert [one.release for one in retention.kept(known)] == ["r3", "r2"]
    assert retention.unwanted(known, []) == {"r1": INDEX}


def test_an_image_stays_that_a_release_which_is_kept_has_as_well() -> None:
    known = proven(("r1", INDEX), ("r2", CHILD), ("r3", INDEX))

    assert retention.unwanted(known, []) == {"r1": ""}


def test_what_another_environment_keeps_is_kept() -> None:
    known = proven(("r1", INDEX), ("r2", CHILD), ("r3", OTHER))

    assert retention.unwanted(known, [proven(("r1", INDEX))]) == {}
    assert retention.unwanted(known, [proven(("r9", INDEX))]) == {"r1": ""}


def test_what_failed_is_not_kept_and_what_is_under_way_is() -> None:
    another = an_attempt("r2").model_copy(update={"digest": CHILD})
    failed = proven(("r2", CHILD)).begin(an_attempt("r1")).end("put back, proven", "t").begin(another)

    assert retention.unwanted(failed, []) == {"r1": INDEX}
    assert retention.unwanted(record.Record().begin(an_attempt("r1")), []) == {}


def test_what_was_never_tried_here_is_nobody_s_to_forget() -> None:
    assert retention.unwanted(record.Record(), [proven(("r1", INDEX))]) == {}
