import pytest

from selfdeploy import tasks
from selfdeploy.commands import program

TAKES = {"logs", "probe", "down"}
COMMANDS = {*TAKES, "plan"}


def test_the_groups_of_the_help_have_every_command_once() -> None:
    listed = [name for names in program.GROUPS.values() for name in names]

    assert sorted(listed) == sorted(tasks.namespace.task_names)


def test_every_command_says_in_one_line_what_it_does() -> None:
    first = {name: str(tasks.namespace[name].__doc__).strip().splitlines()[0] for name in tasks.namespace.task_names}

    assert [name for name, line in first.items() if not line.endswith(".") or len(line) > 110] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["logs", "prod"], ["logs", "--environment", "prod"]),
        (["logs", "prod", "--follow"], ["logs", "--environment", "prod", "--follow"]),
        (["logs", "-e", "prod"], ["logs", "-e", "prod"]),
        (["probe", "--json", "prod"], ["probe", "--json", "prod"]),
        (["plan", "logs"], ["plan", "logs"]),
        (["plan", "prod"], ["plan", "prod"]),
        (["logs", "plan"], ["logs", "plan"]),
        (["down", "test", "logs", "prod"], ["down", "--environment", "test", "logs", "--environment", "prod"]),
        ([], []),
    ],
)
def test_an_environment_may_stand_as_a_word_right_after_its_command(words: list[str], told: list[str]) -> None:
    assert program.reworded(words, TAKES, COMMANDS) == told


def test_the_commands_that_take_an_environment_are_those_with_the_flag() -> None:
    takes = program.takers(tasks.namespace)

    assert {"logs", "rollback", "kubernetes.role"} <= takes
    assert takes & {"release", "plan", "vega.up"} == set()


@pytest.mark.parametrize(("word", "near"), [("relase", "release"), ("--chekc", "--check"), ("xyzzy", ""), ("", "")])
def test_the_nearest_name_is_offered(word: str, near: str) -> None:
    assert program.nearest(word, ["release", "rollback", "--check"]) == near
