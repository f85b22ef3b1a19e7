"""What happens to a test whose outside world is not there: a skip, or a failure where everything is required."""

import os
import subprocess
from collections.abc import Sequence

import pytest

REQUIRE_ALL = "SELFDEPLOY_REQUIRE_ALL"


def need(missing: Sequence[str]) -> None:
    """Skip the test when something is MISSING; fail it instead when SELFDEPLOY_REQUIRE_ALL is set."""
    if not missing:
        return
    reason = f"missing here: {', '.join(missing)} (tests/lab/install installs what it can)"
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(reason)
    pytest.skip(reason)


def need_engine() -> None:
    """Skip the test, or fail it as `need` does, where no Docker engine answers."""
    answered = subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    need([] if answered else ["a Docker engine that answers"])
