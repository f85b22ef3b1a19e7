"""What `--json` prints is as docs/events.schema.json says, of every command."""

import io
import json

import jsonschema
import pytest

from lab.site import EVENTS
from selfdeploy import console, tasks

COMMANDS = EVENTS.schema["oneOf"][-1]["allOf"][0]["properties"]["command"]["enum"]


def test_the_schema_has_a_result_of_each_command_and_of_no_other() -> None:
    assert sorted(tasks.namespace.task_names) == COMMANDS


def events(command: str, data: dict[str, object]) -> list[dict[str, object]]:
    out = io.StringIO()
    shown = console.choose(command=command, json=True, environment={}, stdout=out, stderr=io.StringIO())
    with shown.stage("prod"):
        shown.note("a line")
        shown.did("prod")
    shown.result("", data)
    shown.error("no", "do", 10)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_is_as_the_schema_says_and_the_result_says_what_was_changed() -> None:
    told = events("down", {"environment": "prod", "removed": True})

    for event in told:
        EVENTS.validate(event)
    assert [event["event"] for event in told] == ["stage", "note", "stage-ended", "result", "error"]
    assert told[3]["changed"] == ["prod"]


@pytest.mark.parametrize("lacking", ["schema", "at", "command", "changed", "removed"])
def test_a_result_that_lacks_a_field_is_none(lacking: str) -> None:
    result = events("down", {"environment": "prod", "removed": True})[3]

    del result[lacking]

    with pytest.raises(jsonschema.ValidationError):
        EVENTS.validate(result)


def test_a_result_of_another_command_is_none_of_this_one() -> None:
    with pytest.raises(jsonschema.ValidationError):
        EVENTS.validate(events("release", {"environment": "prod", "removed": True})[3])
