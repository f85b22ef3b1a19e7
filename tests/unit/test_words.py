"""Docstrings are read once: they name the thing, and seldom speak of who, what, which, that or where."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "selfdeploy"
POINTING = {"who", "what", "which", "that", "where"}
SHARE = 0.08


def docstrings(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from filter(None, [ast.get_docstring(node)])


def points_twice(docstring: str) -> bool:
    return sum(word in POINTING for word in re.findall(r"[a-z]+", docstring.lower())) >= 2


def test_few_docstrings_point_at_things_instead_of_naming_them() -> None:
    all_of_them = [each for path in SOURCE.rglob("*.py") for each in docstrings(path.read_text())]
    pointing = [each for each in all_of_them if points_twice(each)]

    assert len(all_of_them) > 1000
    assert len(pointing) / len(all_of_them) < SHARE, "\n".join(pointing)
    assert points_twice("Return what was replaced, for who had it before.")
    assert not points_twice("Return the replaced pods of the previous holder.")
