"""A dozen of the kills that `nox -s chaos` makes by the hundred; and bugs made on purpose, which the harness sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos import checks, instant, trial, world
from lab import registry
from lab.needed import need, need_engine

SEED = 6
NEVER_LET_GO = """
from selfdeploy.environments import lock

lock.HOLD = "process.stdout.write('held\\\\n'); setInterval(() => {}, 1000);"
"""
RECORD_FIRST = """
import time
from selfdeploy import assembly, registry
from selfdeploy.registry import artifact

def build(self, gated):
    absent = registry.Descriptor(media_type=artifact.SINGLE[0], digest="sha256:" + "0" * 64, size=1)
    self.store.put_record(registry.Record(subject=absent, manifest=b"{}", evidence=b"{}"), self.revision.commit)
    time.sleep(60)

assembly.Assembly.build = build
"""


@pytest.fixture(scope="module")
def here(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.World]:
    need_engine()
    need(registry.MISSING)
    with world.begin(ship, tmp_path_factory.mktemp("chaos")) as made:
        yield made


@contextmanager
def sabotaged(there: world.World, bug: str) -> Iterator[None]:
    """Have the site's commands run with BUG in them."""
    file = there.site.folder / "tasks.py"
    good = file.read_text()
    file.write_text(bug + good)
    yield
    file.write_text(good)


@pytest.mark.parametrize("number", range(len(instant.CHAINS)))
def test_a_release_that_is_killed_leaves_nothing_that_the_next_one_does_not_mend(
    here: world.World, number: int
) -> None:
    outcome = trial.run(here, instant.chain(SEED, number), SEED)

    assert outcome.killed
    assert outcome.wrong == []


def test_the_harness_sees_a_lock_that_is_not_released(here: world.World) -> None:
    at = instant.Instant(number=0, stage="test", place="end", share=0, how="SIGKILL")

    with sabotaged(here, NEVER_LET_GO):
        outcome = trial.run(here, [at])
    for name in ("t", "p"):
        here.site.docker("rm", "--force", f"{here.site.name}-{name}-lock")
    mended = here.site.inv("release", "--older")

    assert any("exit code 43" in line for line in outcome.wrong), outcome
    assert mended.returncode == 0, mended.stderr
    here.settled(here.site.revision)


def test_the_harness_sees_a_record_that_is_written_before_the_image_is_pushed(here: world.World) -> None:
    at = instant.Instant(number=0, stage="image", place="inside", share=2, how="SIGKILL")

    with sabotaged(here, RECORD_FIRST):
        revision, killed, wrong = trial.kill(here, at)

    assert killed
    assert any(line.startswith(f"{revision} is on record, and the registry has not got") for line in wrong), wrong
    assert checks.nothing_left(here, here.site.folder) == []
