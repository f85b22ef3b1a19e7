"""What a Compose environment's lock does that went away in the moment in which it was taken."""

import json
from unittest import mock

import pytest

from lab.values import HOLDER
from selfdeploy import errors
from selfdeploy.engine import Engine
from selfdeploy.environments.compose import lock

NEXT = {"Id": "i", "Name": "/sf-t-lock", "Image": "m", "Config": {"Labels": {"dev.selfdeploy.token": "the next one's"}}}


@pytest.mark.parametrize("found", [[], [NEXT]])
def test_one_that_went_away_at_once_is_never_the_next_holder_s(
    monkeypatch: pytest.MonkeyPatch, found: list[object]
) -> None:
    engine = mock.create_autospec(Engine, instance=True)
    engine.name = "test"
    engine.describe.return_value = json.dumps(found).encode()
    heart = mock.create_autospec(lock.Heart, instance=True)
    monkeypatch.setattr(lock, "_take", lambda *_: (heart, ""))

    with (
        pytest.raises(errors.LockLost, match="sf-t-lock: the lock went away"),
        lock.hold(engine, "sf-t-lock", "image", "record", HOLDER),
    ):
        pass

    heart.stop.assert_called_once_with()
