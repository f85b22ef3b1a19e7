"""A dozen of the kills that `nox -s chaos -- --runtime kubernetes` makes by the hundred."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import instant, kubernetes, trial
from lab import registry
from lab.needed import need

SEED = 6


@pytest.fixture(scope="module")
def here(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubernetes.World]:
    need(registry.MISSING)
    with kubernetes.begin(ship, tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize("number", range(len(instant.CHAINS)))
def test_a_release_that_is_killed_leaves_nothing_that_the_next_one_does_not_mend(
    here: kubernetes.World, number: int
) -> None:
    outcome = trial.run(here, instant.chain(SEED, number), SEED)

    assert outcome.killed
    assert outcome.wrong == []
