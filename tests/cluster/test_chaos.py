"""A dozen of the kills that `nox -s chaos -- --runtime kubernetes` makes by the hundred; and what the harness sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import bugs, checks, instant, kubernetes, trial
from lab import children, registry
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


def test_the_harness_sees_a_record_that_is_written_before_the_image_is_pushed(here: kubernetes.World) -> None:
    at = instant.Instant(number=0, stage="image", place="end", share=0, how="SIGKILL")

    with here.site.running_first(bugs.RECORD_FIRST):
        revision, _, wrong = trial.kill(here, at)

    assert any(line.startswith(f"{revision} is on record, and the registry has not got") for line in wrong), wrong
    assert checks.nothing_left(here, here.site.folder) == []


def test_the_harness_sees_what_prod_was_told_to_run_and_test_never_answered_as(here: kubernetes.World) -> None:
    before, image = here.unproven(), f"{here.store.name}/sf0@sha256:{'0' * 64}"
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {"containers": [{"name": "server", "image": image, "securityContext": security}]}
    metadata = {"name": "stray", "namespace": here.site.namespace("prod")}

    here.site.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    children.wait_until(lambda: here.unproven() != [], "the cluster's event", seconds=60)
    seen = here.unproven()
    here.site.kubectl("prod", "delete", "pod", "stray", "--now")

    assert before == []
    assert [line.partition(" at ")[0] for line in seen] == [f"prod ran {image}"]
