"""A server that was away, and is not all there yet when it is back."""

from collections.abc import Callable

import pytest

from selfdeploy import errors
from selfdeploy.cluster import api
from selfdeploy.cluster.kubectl import Kubectl

AWAY = errors.ClusterUnreachable("prod: the Kubernetes API server does not answer")
REFUSED = errors.ClusterForbidden("prod: an account may not list pods")


def asking(*answers: errors.SelfdeployError | str) -> Callable[[], str]:
    waiting = iter(answers)

    def ask() -> str:
        answer = next(waiting)
        if isinstance(answer, errors.SelfdeployError):
            raise answer
        return answer

    return ask


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> api.Api:
    monkeypatch.setattr(api, "AGAIN", 0)
    return api.Api(kubectl=Kubectl(name="prod", command=["none"], context="c", namespace="ns"))


def test_a_server_that_is_just_back_may_refuse_for_a_moment(prod: api.Api) -> None:
    assert prod.insist(asking(AWAY, REFUSED, REFUSED, "told"), 60) == "told"


def test_a_server_that_was_there_all_the_time_is_taken_at_its_word(prod: api.Api) -> None:
    with pytest.raises(errors.ClusterForbidden):
        prod.insist(asking(REFUSED, "told"), 60)


def test_a_server_that_goes_on_refusing_is_taken_at_its_word(prod: api.Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "RECOVERY", -1)

    with pytest.raises(errors.ClusterForbidden):
        prod.insist(asking(AWAY, REFUSED, "told"), 60)
