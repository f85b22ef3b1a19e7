import io
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence

import pytest

from lab import children
from selfdeploy import console

HOSTILE = "a\x1b]0;owned\x07b\rc\u202ed\udcff"
SHOWN = r"a\x1b]0;owned\x07b\rc\u202ed\udcff"


class Person:
    """Who reads both outputs of a console."""

    def __init__(
        self, *, json: bool = False, quiet: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self.console = console.choose(
            json=json, quiet=quiet, environment=environment or {}, stdout=self._out, stderr=self._err
        )

    @property
    def result(self) -> str:
        return self._out.getvalue()

    @property
    def progress(self) -> list[str]:
        """The lines, with 0.0 s for the time that a stage took: a busy machine takes longer."""
        return [re.sub(r"^(\w+:(?: failed after)?) [0-9.]+ s$", r"\1 0.0 s", line) for line in self._raw]

    @property
    def _raw(self) -> list[str]:
        return self._err.getvalue().splitlines()

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.result.splitlines()]

    def work(self) -> None:
        with self.console.stage("gates"):
            self.console.note("gate build-core passed in 3.1 s")
        self.console.note("found in 127.0.0.1:5000/sf")


def fail(within: console.Console, name: str = "test") -> None:
    with within.stage(name):
        raise LookupError(name)


def test_progress_goes_to_standard_error_and_the_result_to_standard_output() -> None:
    person = Person()

    person.work()
    person.console.result("sha256:1\nsha256:2")

    assert person.progress == [
        "gates ...",
        "  gate build-core passed in 3.1 s",
        "gates: 0.0 s",
        "found in 127.0.0.1:5000/sf",
    ]
    assert person.result == "sha256:1\nsha256:2\n"


def test_a_stage_that_fails_says_so_and_passes_the_error_on() -> None:
    person = Person()

    with pytest.raises(LookupError):
        fail(person.console)

    assert person.progress == ["test ...", "test: failed after 0.0 s"]


def test_an_interrupted_stage_has_failed() -> None:
    person = Person()

    with pytest.raises(KeyboardInterrupt), person.console.stage("test"):
        raise KeyboardInterrupt

    assert person.progress[-1] == "test: failed after 0.0 s"


@pytest.mark.parametrize("name", ["CI", "GITHUB_ACTIONS", "FORGEJO_ACTIONS"])
def test_a_ci_log_has_a_group_a_stage_and_it_ends_when_the_stage_fails(name: str) -> None:
    person = Person(environment={name: "true"})

    person.work()
    with pytest.raises(LookupError):
        fail(person.console)

    assert person.progress == [
        "::group::gates",
        "  gate build-core passed in 3.1 s",
        "gates: 0.0 s",
        "::endgroup::",
        "found in 127.0.0.1:5000/sf",
        "::group::test",
        "test: failed after 0.0 s",
        "::endgroup::",
    ]


@pytest.mark.parametrize(
    "line", ["::stop-commands::x", "  ::set-env name=PATH::/evil", "\t::add-mask::1", "said ##[error]no", "##[group]x"]
)
def test_foreign_text_gives_no_command_to_the_runner(line: str) -> None:
    person = Person(environment={"CI": "true"})

    with person.console.stage("gates"):
        person.console.note(line)
        person.console.note(f"x\n{line}")
    person.console.error(f"the log ends with\n{line}", f"look:\r\n{line}", 9)
    person.console.result(f"{line}\nfine\n{line}")

    written = [*person.progress, *person.result.split("\n")]
    assert [text for text in written if text.lstrip().startswith("::")] == ["::group::gates", "::endgroup::"]
    assert not any("##[" in text for text in written)


def test_the_name_of_a_group_can_not_end_its_line() -> None:
    person = Person(environment={"CI": "true"})

    with person.console.stage("a%0A::error::b\n::error::c"):
        pass

    assert person.progress[0] == r"::group::a%250A::error::b\n::error::c"


def test_outside_of_ci_a_line_of_colons_stays_as_it_is() -> None:
    person = Person()

    person.console.result(":: fine ##[x]")

    assert person.result == ":: fine ##[x]\n"


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}])
def test_control_characters_are_made_visible(environment: Mapping[str, str]) -> None:
    person = Person(environment=environment)

    with person.console.stage(HOSTILE):
        person.console.note(HOSTILE)
    person.console.error(HOSTILE, HOSTILE, 9)
    person.console.result(HOSTILE)

    assert f"  {SHOWN}" in person.progress
    assert person.progress[-2:] == [f"error: {SHOWN}", f"hint: {SHOWN}"]
    assert person.result == f"{SHOWN}\n"
    assert all(line.isprintable() for line in person.progress)


def test_a_note_is_one_line_and_a_result_keeps_its_own() -> None:
    person = Person()

    person.console.note("one\ntwo\n")
    person.console.result("a\tb\r\nc\n")

    assert person.progress == [r"one\ntwo"]
    assert person.result == "a       b\nc\n"


def test_text_that_the_charset_lacks_is_written_out() -> None:
    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii", newline="\n")

    console.choose(environment={}, stdout=narrow, stderr=narrow).result("grün ✓")

    assert raw.getvalue() == b"gr\\xfcn \\u2713\n"


def test_an_error_is_named_with_its_hint() -> None:
    person = Person()

    person.console.error("deploy.toml: environments.prod.after[0]: no environment named 'tset'", "try test, prod", 10)
    person.console.error("interrupted", "", 130)

    assert person.progress == [
        "error: deploy.toml: environments.prod.after[0]: no environment named 'tset'",
        "hint: try test, prod",
        "error: interrupted",
    ]
    assert not person.result


def test_quiet_leaves_the_result_and_the_error() -> None:
    person = Person(quiet=True, environment={"CI": "true"})

    person.work()
    with pytest.raises(LookupError):
        fail(person.console)
    person.console.result("sha256:1")
    person.console.error("no", "yes", 9)

    assert person.progress == ["error: no", "hint: yes"]
    assert person.result == "sha256:1\n"


def test_json_is_an_event_a_line_and_standard_error_stays_silent() -> None:
    person = Person(json=True, environment={"CI": "true"})

    person.work()
    person.console.result("for a person", {"release": "r", "environments": {"test": "proven"}})

    timeless = [{k: v for k, v in event.items() if k not in {"at", "seconds", "schema"}} for event in person.events]
    assert timeless == [
        {"event": "stage", "name": "gates"},
        {"event": "note", "stage": "gates", "text": "gate build-core passed in 3.1 s"},
        {"event": "stage-ended", "name": "gates", "ok": True},
        {"event": "note", "stage": None, "text": "found in 127.0.0.1:5000/sf"},
        {"event": "result", "command": "", "changed": [], "release": "r", "environments": {"test": "proven"}},
    ]
    assert {event["schema"] for event in person.events} == {console.SCHEMA}
    assert all(str(event["at"]).endswith("Z") for event in person.events)
    assert isinstance(person.events[2]["seconds"], float)
    assert person.progress == []


def test_json_has_the_error_for_the_program_and_its_text_for_the_person() -> None:
    person = Person(json=True)

    with pytest.raises(LookupError):
        fail(person.console)
    person.console.error("no", "yes", 9)

    assert person.events[1]["ok"] is False
    told = {name: person.events[2][name] for name in ("event", "message", "hint", "exit")}
    assert told == {"event": "error", "message": "no", "hint": "yes", "exit": 9}
    assert person.progress == ["error: no", "hint: yes"]


@pytest.mark.parametrize(
    ("data", "told"), [(None, {"text": "t"}), ([], {"items": []}), (["a", 1], {"items": ["a", 1]})]
)
def test_json_results_are_objects_whatever_they_hold(data: Sequence[object] | None, told: dict[str, object]) -> None:
    person = Person(json=True)

    person.console.result("t", data)

    assert told.items() <= person.events[0].items()


def test_no_data_can_pass_for_another_event() -> None:
    person = Person(json=True)

    person.console.result("", {"event": "error", "exit": 0})

    assert person.events[0]["event"] == "result"


def test_json_carries_hostile_text_whole_and_harmless() -> None:
    person = Person(json=True, environment={"CI": "true"})

    person.console.note(f"##[error]{HOSTILE}\n::error::")

    assert person.events[0]["text"] == f"##[error]{HOSTILE}\n::error::"
    assert len(person.result.splitlines()) == 1
    assert "\x1b" not in person.result
    assert "##[" not in person.result


def test_quiet_json_is_the_result_alone() -> None:
    person = Person(json=True, quiet=True)

    person.work()
    person.console.result("", {"release": "r"})

    assert [event["event"] for event in person.events] == ["result"]


class Piecemeal(io.StringIO):
    """A stream that takes its time: other threads run between the two halves of one text."""

    def write(self, text: str) -> int:
        written = super().write(text[: len(text) // 2])
        time.sleep(0.001)
        return written + super().write(text[len(text) // 2 :])


def test_notes_of_many_threads_stay_lines() -> None:
    stream = Piecemeal()
    shared = console.choose(environment={}, stderr=stream)

    def chatter(letter: str) -> None:
        for _ in range(10):
            shared.note(letter * 100)

    threads = [threading.Thread(target=chatter, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(stream.getvalue().splitlines()) == [letter * 100 for letter in "abcdefgh" for _ in range(10)]


def test_a_log_says_once_in_a_while_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "HEARTBEAT", 0.01)
    person = Person()

    with person.console.stage("test"):
        children.wait_until(lambda: len(person.progress) > 1, "a line", seconds=30)
        person.console.waits('waiting for test: /api/ready: HTTP 503: {"database": "away"}', time.monotonic() - 41, 0)
        children.wait_until(lambda: any("database" in line for line in person.progress), "what goes on", seconds=30)
    quiet = Person(quiet=True)
    with quiet.console.stage("test"):
        threading.Event().wait(0.05)

    assert person.progress[1] == "  under way (0 s in test)"
    assert any('"away"}  41 s of' in line and line.endswith("(0 s in test)") for line in person.progress)
    assert quiet.progress == []


def test_what_is_done_is_forgotten_when_its_stage_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "HEARTBEAT", 0.01)
    person = Person()

    with person.console.stage("gates"):
        person.console.doing(lambda: "1/6  npm-ci 3s")
    with person.console.stage("image"):
        children.wait_until(lambda: any("in image" in line for line in person.progress), "a line", seconds=30)

    assert [line for line in person.progress if "image" in line][1] == "  under way (0 s in image)"
