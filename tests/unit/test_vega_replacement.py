from pathlib import Path
from unittest import mock

import pytest

from selfdeploy import errors
from selfdeploy.vega import settings
from selfdeploy.vega.engine import Engine
from selfdeploy.vega.replacement import Kept, Replacement, Wanted


def a_replacement(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Replacement:
    """Return one whose server is interrupted as it starts; the previous one is of another version."""
    monkeypatch.setattr(settings, "verify", mock.Mock())
    engine = mock.create_autospec(Engine, instance=True, project=mock.Mock(work=folder))
    engine.name = "sf-vega"
    engine.logs.return_value = ""
    engine.start.side_effect = KeyboardInterrupt
    new = Wanted(settings=mock.Mock(), manifest=mock.Mock(), rendered="")
    return Replacement(engine=engine, old=Kept(url=url, manifest=None) if url else None, new=new, swap=None)


def test_an_interrupt_is_all_that_is_said_when_nothing_ran_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        a_replacement(tmp_path, monkeypatch, "").make()


def test_an_interrupt_after_which_the_previous_server_is_not_proven_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.PutBackUnproven, match="^interrupted\n.*\nput back what ran before, but: ") as ended:
        a_replacement(tmp_path, monkeypatch, "http://127.0.0.1:4000").make()

    assert isinstance(ended.value.__cause__, KeyboardInterrupt)
