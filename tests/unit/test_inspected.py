"""What an engine that answers nonsense is said to do; no engine is asked."""

import pytest

from selfdeploy import errors
from selfdeploy.environments.engine import Engine
from selfdeploy.process import Outcome


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (b'[{"Id": 7, "Labels": 7}]', "Id: Input should be a valid string"),
        (b"[7]", "Input should be"),
        (b"[]", "list index out of range"),
        (b"no", "Expecting value"),
    ],
)
def test_what_is_wrong_with_what_an_engine_says_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, told: bytes, said: str
) -> None:
    monkeypatch.setattr(Engine, "run", lambda *_, **__: Outcome(argv=(), code=0, stdout=told))

    with pytest.raises(
        errors.CommandFailed, match="^test: docker image inspect i: not what an engine says: "
    ) as failed:
        Engine(name="test").inspect("image", "i")

    assert said in failed.value.message
    assert len(failed.value.message.splitlines()) == 1
