import pytest

from benchmarks.sizes import Report, Turn


def turn(**more: float) -> Turn:
    facts = {"gates": 50.0, "build": 20.0, "pushed": 30_000_000, "cpu": 10.0, "receipt": 1.0, "peak": 90_000_000}
    return Turn(**{**facts, **more})


def report(*now: Turn) -> Report:
    then = turn(build=100.0, pushed=100_000_000, cpu=40.0, receipt=10.0)
    return Report(against="7ca082c", now=list(now), then=[then] * len(now), script=[50.0] * len(now))


def test_a_release_at_size_within_its_targets_misses_none() -> None:
    made = report(turn(), turn())

    assert made.missed == []
    assert "all targets met" in str(made)
    assert "7ca082c" in str(made)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"build": 25.1}, ["build and push, s"]),
        ({"pushed": 35_100_000}, ["bytes pushed, MB"]),
        ({"cpu": 13.3}, ["the tool's own CPU, s"]),
        ({"receipt": 2.1}, ["nox -s gates with a receipt, s"]),
        ({"peak": 100_000_001}, ["peak memory"]),
    ],
)
def test_a_release_at_size_names_each_target_that_is_missed(change: dict[str, float], missed: list[str]) -> None:
    assert report(turn(**change)).missed == missed


def test_a_figure_is_compared_within_its_round() -> None:
    made = report(turn(build=20.0), turn(build=30.0), turn(build=10.0))

    (build,) = (figure for figure in made.figures() if figure.name == "build and push, s")

    assert build.ratios == [0.2, 0.3, 0.1]
    assert not build.missed
