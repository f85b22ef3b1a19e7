from selfdeploy.environments import fitness

GIB = 1 << 30


def test_a_release_needs_the_room_of_the_last_one_s_tree_and_its_copies() -> None:
    needed = fitness.need(25_000_000, {"export": 2_300_000_000, "ship": 723_000_000})

    assert needed + GIB > 6 * GIB
    assert 5.5 * GIB < needed < 7 * GIB


def test_a_first_release_needs_room_by_the_size_of_its_source() -> None:
    assert fitness.need(300_000, {}) == fitness.ROOM
    assert 5.5 * GIB < fitness.need(25_000_000, {}) < 7 * GIB
    assert fitness.need(GIB, {}) == 12 * GIB


def test_a_small_application_needs_what_it_always_did() -> None:
    assert fitness.need(300_000, {"export": 1000, "ship": 500}) == fitness.ROOM
    assert fitness.need(300_000, {"export": 1000}) == fitness.ROOM
