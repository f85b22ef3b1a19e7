import copy
from typing import Any

from selfdeploy.environments.kubernetes.objects import RUN, Change

MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "m", "uid": "u", "annotations": {RUN: "one"}},
    "data": {"a.json": '{\n  "x": 1\n}\n'},
}


def changed(**changes: object) -> dict[str, Any]:
    return {**copy.deepcopy(MAP), **changes}


def test_a_new_object_is_told_whole_and_its_text_line_by_line() -> None:
    told = str(Change(wanted=MAP, before=None, after=MAP)).splitlines()

    assert told[:2] == ["--- configmap/m", "+++ configmap/m"]
    assert "+  a.json: |" in told
    assert '+      "x": 1' in told


def test_a_change_is_told_with_little_around_it() -> None:
    told = str(Change(wanted=MAP, before=MAP, after=changed(data={"a.json": '{\n  "x": 2\n}\n'}))).splitlines()

    assert [line for line in told if line[0] in "+-"][2:] == ['-      "x": 1', '+      "x": 2']


def test_what_the_server_writes_and_which_run_applied_it_is_no_change() -> None:
    metadata = {"name": "m", "uid": "v", "resourceVersion": "7", "generation": 2, "annotations": {RUN: "two"}}

    assert not Change(wanted=MAP, before=MAP, after=changed(metadata=metadata, status={"ready": True})).is_one
    assert Change(wanted=MAP, before=MAP, after=changed(data={})).is_one
    assert Change(wanted=MAP, before=None, after=MAP).is_one
