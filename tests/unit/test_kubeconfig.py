import os
from pathlib import Path

import pytest

from selfdeploy.cluster import kubeconfig


def test_a_kubeconfig_from_the_environment_stays_readable_and_is_on_no_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kubeconfig.VARIABLE, "apiVersion: v1\nkind: Config\n")

    path = kubeconfig.given()

    assert Path(path).read_text() == Path(path).read_text() == "apiVersion: v1\nkind: Config\n"
    assert os.readlink(path).startswith("/memfd:")  # noqa: PTH115 -- its target is no path
    assert kubeconfig.given() == path


@pytest.mark.parametrize("text", ["", " \n"])
def test_without_one_kubectl_chooses(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kubeconfig.VARIABLE, text)

    assert kubeconfig.given() == ""
