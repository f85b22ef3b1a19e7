from collections.abc import Iterator

import pytest

from lab import fuzz, guard


@pytest.fixture(autouse=True)
def watch(request: pytest.FixtureRequest) -> Iterator[guard.Watch]:
    with guard.starts_nothing(request.node.nodeid) as watch:
        yield watch


@pytest.fixture
def never_hangs() -> Iterator[None]:
    with fuzz.never_hangs():
        yield
