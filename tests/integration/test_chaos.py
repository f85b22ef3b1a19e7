"""A dozen of the kills that `nox -s chaos` makes by the hundred; and bugs made on purpose, which the harness sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import bugs, checks, instant, trial, world
from lab import registry
from lab.needed import need, need_engine

SEED = 6


@pytest.fixture(scope="module")
def here(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.World]:
    need_engine()
    need(registry.MISSING)
    with world.begin(ship, tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize("number", range(len(instant.CHAINS)))
def test_a_release_that_is_killed_leaves_nothing_that_the_next_one_does_not_mend(
    here: world.World, number: int
) -> None:
    outcome = trial.run(here, instant.chain(SEED, number), SEED)

    assert outcome.killed
    assert outcome.wrong == []


def test_the_harness_sees_a_lock_that_is_not_released(here: world.World) -> None:
    at = instant.Instant(number=0, stage="test", place="end", share=0, how="SIGKILL")

    with here.site.running_first(bugs.NEVER_LET_GO):
        outcome = trial.run(here, [at])
    for name in ("t", "p"):
        here.site.docker("rm", "--force", "--volumes", f"{here.site.name}-{name}-lock")
    mended = here.site.inv("release", "--older")

    assert any("exit code 43" in line for line in outcome.wrong), outcome
    assert mended.returncode == 0, mended.stderr
    here.settled(here.site.revision)


def test_the_harness_sees_a_record_that_is_written_before_the_image_is_pushed(here: world.World) -> None:
    at = instant.Instant(number=0, stage="image", place="end", share=0, how="SIGKILL")

    with here.site.running_first(bugs.RECORD_FIRST):
        revision, _, wrong = trial.kill(here, at)

    assert any(line.startswith(f"{revision} is on record, and the registry has not got") for line in wrong), wrong
    assert checks.nothing_left(here, here.site.folder) == []
