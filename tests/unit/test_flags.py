import invoke
import pytest

from selfdeploy import errors, flags, tasks


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert flags.count("--tail", text) == number


@pytest.mark.parametrize("text", ["", "abc", "-1", "+1", "1.5", "1e3", "\u0663", "\u00b2", " 1", "1\n", "9" * 5000])
def test_anything_else_is_refused_with_the_flag_named(text: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="^--tail: .* is no number from 0 up$"):
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


def test_every_command_says_what_its_flags_are_where_invoke_would_take_help_for_an_argument() -> None:
    positional = {name: tasks.namespace[name].positional for name in tasks.namespace.task_names}

    assert "logs" in positional
    assert not any(positional.values())


def test_a_flag_that_is_needed_and_left_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(invoke.Exit) as ended:
        tasks.namespace["logs"](invoke.Context(), environment=None, tail="1", follow=False)

    assert ended.value.code == errors.ConfigInvalid.exit_code
    assert "error: --environment is needed" in capsys.readouterr().err
