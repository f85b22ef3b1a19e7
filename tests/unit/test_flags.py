import invoke
import pytest

from selfdeploy import errors, tasks
from selfdeploy.config import flags


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert flags.count("--tail", text) == number


@pytest.mark.parametrize("text", ["", "abc", "-1", "+1", "1.5", "1e3", "\u0663", "\u00b2", " 1", "1\n", "9" * 5000])
def test_anything_else_is_refused_with_the_flag_named(text: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="^--tail: .* is not a number from 0 up$"):
        flags.count("--tail", text)


def test_a_number_has_to_be_large_enough() -> None:
    assert flags.count("--jobs", "1", least=1) == 1
    with pytest.raises(errors.ConfigInvalid, match="from 1 up"):
        flags.count("--jobs", "0", least=1)


def test_no_flag_is_a_number_to_invoke_which_would_end_in_a_traceback() -> None:
    kinds = {
        (name, argument.name): argument.kind
        for name in tasks.namespace.task_names
        for argument in tasks.namespace[name].get_arguments()
    }

    assert ("logs", "tail") in kinds
    assert set(kinds.values()) == {str, bool}


def test_no_command_but_completion_has_a_positional_to_swallow_help() -> None:
    positional = {name: tasks.namespace[name].positional for name in tasks.namespace.task_names}

    assert "logs" in positional
    assert {name for name, words in positional.items() if words} == {"completion"}


def test_a_flag_that_is_needed_and_left_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(invoke.Exit) as ended:
        tasks.namespace["logs"](invoke.Context(), environment=None, tail="1", follow=False)

    assert ended.value.code == errors.ConfigInvalid.exit_code
    assert "error: --environment is needed" in capsys.readouterr().err


DRY = {
    *("gates", "build", "manifest", "rollout", "promote", "release", "render", "base", "init", "registry.up"),
    *("rollback", "up", "restart", "unhold", "down", "vega.up", "vega.restart", "vega.down", "vega.shell"),
    *("keys.new", "bundle"),
}
"""The commands that change something, and say what they would do when they are told to: --dry."""

LOOKS = {
    *("plan", "probe", "report", "status", "history", "logs", "contract", "kubernetes.role"),
    *("vega.status", "vega.logs", "doctor", "config", "completion"),
    "verify",
    "sbom",
}
"""The commands that change nothing; --dry makes no difference to them."""


def arguments() -> dict[str, list[invoke.Argument]]:
    return {name: tasks.namespace[name].get_arguments() for name in tasks.namespace.task_names}


def test_every_command_that_changes_something_has_a_dry_run() -> None:
    with_it = {name for name, found in arguments().items() if "dry_run" in {each.name for each in found}}

    assert with_it == DRY
    assert set(tasks.namespace.task_names) == DRY | LOOKS


def test_a_short_flag_means_the_same_in_every_command() -> None:
    meant: dict[str, set[str]] = {}
    for found in arguments().values():
        for argument in found:
            for name in argument.names:
                if len(name) == 1:
                    meant.setdefault(name, set()).add(str(argument.attr_name or argument.name))

    assert meant == {letter: {name} for name, letter in tasks.SHORT.items()}


def test_every_flag_has_help() -> None:
    without = [(name, each.name) for name, found in arguments().items() for each in found if not each.help]

    assert without == []


HEEDED = {"complete", "config", "debug", "help", "list", "list-depth", "list-format", "print-completion-script"}
HEEDED |= {"version", "write-pyc", "collection", "search-root", "dry"}
"""The global options of invoke that have an effect here: what they do is invoke's own, and --dry is ours."""

REFUSED = {"command-timeout", "echo", "hide", "no-dedupe", "prompt-for-sudo-password", "pty", "warn-only"}


def test_every_global_option_of_invoke_is_heeded_or_refused() -> None:
    program = invoke.Program()
    options = {argument.name for argument in [*program.core_args(), *program.task_args()]}

    assert options == HEEDED | REFUSED


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        *(("run", name, True) for name in ("echo", "hide", "pty", "warn")),
        ("timeouts", "command", 5),
        ("tasks", "dedupe", False),
        ("sudo", "password", "x"),
    ],
)
def test_a_global_option_that_does_nothing_here_is_refused(
    capsys: pytest.CaptureFixture[str], group: str, name: str, value: object
) -> None:
    context = invoke.Context(invoke.Config(overrides={group: {name: value}}))

    with pytest.raises(invoke.Exit) as ended:
        tasks.namespace["status"](context)

    assert ended.value.code == errors.ConfigInvalid.exit_code
    assert ": does nothing here" in capsys.readouterr().err
