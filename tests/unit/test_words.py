"""Words are read once: docstrings name the thing, not who, what, which, that or where, and test names are short."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "selfdeploy"
TESTS = Path(__file__).parents[1]
POINTING = {"who", "what", "which", "that", "where"}
SHARE = 0.08
LONGEST = 80
"""Longest name of a test, in characters."""


def docstrings(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from filter(None, [ast.get_docstring(node)])


def points_twice(docstring: str) -> bool:
    return sum(word in POINTING for word in re.findall(r"[a-z]+", docstring.lower())) >= 2


def long_names(text: str) -> list[str]:
    """Return the names of the tests in TEXT that are longer than LONGEST."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [each.name for each in functions if each.name.startswith("test_") and len(each.name) > LONGEST]


def test_few_docstrings_point_at_things_instead_of_naming_them() -> None:
    all_of_them = [each for path in SOURCE.rglob("*.py") for each in docstrings(path.read_text())]
    pointing = [each for each in all_of_them if points_twice(each)]

    assert len(all_of_them) > 1000
    assert len(pointing) / len(all_of_them) < SHARE, "\n".join(pointing)
    assert points_twice("Return what was replaced, for who had it before.")
    assert not points_twice("Return the replaced pods of the previous holder.")


def test_no_name_of_a_test_is_longer_than_80_characters() -> None:
    too_long = "test_".ljust(LONGEST + 1, "x")

    assert [name for path in TESTS.rglob("*.py") for name in long_names(path.read_text())] == []
    assert long_names(f"def {too_long[:-1]}(): ...\nclass Test:\n    async def {too_long}(self): ...") == [too_long]
