from collections.abc import Iterator

import pytest

from lab import guard


@pytest.fixture(autouse=True)
def watch(request: pytest.FixtureRequest) -> Iterator[guard.Watch]:
    with guard.starts_nothing(request.node.nodeid) as watch:
        yield watch
