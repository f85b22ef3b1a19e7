import pytest

from benchmarks.gaps import COMPOSE, RECREATE, SCALED, TOOL, Gaps, Phase


def a_phase(seconds: float = 5.0, *, failed: int = 0, wrong: int = 0, silence: float = 0.02) -> Phase:
    return Phase(seconds=seconds, requests=1000, failed=failed, wrong=wrong, silence=silence)


def gaps(good: Phase | None = None, bad: Phase | None = None, memory: float = 4.0) -> Gaps:
    told = Gaps(quiet=0.01, memory=memory)
    for name in (RECREATE, COMPOSE, SCALED):
        told.ways[name].good.append(a_phase(5.0, failed=300, silence=1.4))
        told.ways[name].bad.append(a_phase(20.0, wrong=900))
    told.ways[TOOL].good.append(good or a_phase())
    told.ways[TOOL].bad.append(bad or a_phase())
    return told


def test_rollouts_that_nobody_notices_miss_no_target() -> None:
    told = gaps()

    assert told.missed == []
    assert "all targets met" in str(told)
    assert "1.00 x recreate" in str(told)


def test_the_table_says_how_many_bad_releases_each_way_refused() -> None:
    told = gaps(bad=Phase(seconds=9.0, requests=1, failed=0, wrong=0, silence=0.0, refused=True))

    line = next(line for line in str(told).splitlines() if line.startswith("bad ones refused"))
    assert line.split()[3:] == ["1", "of", "1", *["0", "of", "1"] * 3]


@pytest.mark.parametrize(
    ("told", "missed"),
    [
        (gaps(a_phase(failed=1)), ["failed"]),
        (gaps(bad=a_phase(wrong=1)), ["by a bad one"]),
        (gaps(a_phase(silence=0.07)), ["silence"]),
        (gaps(a_phase(6.0)), ["against recreate"]),
        (gaps(memory=31.0), ["memory"]),
    ],
)
def test_each_target_that_is_missed_is_named(told: Gaps, missed: list[str]) -> None:
    assert told.missed == missed
    assert f"missed: {missed[0]}" in str(told)
