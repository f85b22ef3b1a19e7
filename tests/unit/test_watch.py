from selfdeploy import ages
from selfdeploy.gates.watch import Watch


def test_the_gates_that_run_are_named_with_their_time_and_those_done_are_counted() -> None:
    clock = [0.0]
    seen = Watch(6, lambda: clock[0])

    for line in ("gate npm-ci started", "gate npm-ci passed in 3.1 s: 5 tests", "gate build-web-host started"):
        seen.hear(line)
    clock[0] = 126.0
    seen.hear("gate test-unit started")
    clock[0] = 130.0

    assert seen.is_running
    assert seen.describe() == "1/6  build-web-host 2m10s · test-unit 4s"


def test_a_line_that_says_nothing_of_a_gate_is_passed_over() -> None:
    seen = Watch(6)

    for line in ("gates: laying out 3 files", "gate", "gate x passed in 1 s", "gate x\x1b[0m started"):
        seen.hear(line)

    assert (seen.describe(), seen.is_running) == ("0/6", False)


def test_a_stopwatch_shows_minutes_where_there_are_some() -> None:
    assert [ages.clock(seconds) for seconds in (0, 59.9, 60, 754)] == ["0s", "59s", "1m00s", "12m34s"]
