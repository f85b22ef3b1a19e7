import re
from pathlib import Path

import pytest

from selfdeploy.contract.clauses import CLAUSES, PAGE, broken, not_checked, ok

TEXT = (Path(__file__).parents[2] / PAGE).read_text()


def test_the_page_has_every_clause_under_its_number_and_name_and_no_other() -> None:
    headings = re.findall(r"^### ([A-Z][0-9]+) (.*)$", TEXT, re.MULTILINE)

    assert headings == [(clause.number, clause.name) for clause in CLAUSES]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.number)
def test_the_section_of_a_clause_states_it_first(clause: object) -> None:
    number, title = getattr(clause, "number", ""), getattr(clause, "title", "")
    (section,) = re.findall(rf"^### {number} .*\n\n((?:.+\n)+)", TEXT, re.MULTILINE)

    said = " ".join(section.split()).replace("`", "")

    assert said.lower().startswith(title.replace("`", "").lower())


def test_numbers_and_names_are_unique() -> None:
    assert len({clause.number for clause in CLAUSES}) == len({clause.name for clause in CLAUSES}) == len(CLAUSES)


def test_a_broken_clause_shows_expected_actual_what_to_do_and_where_it_is_described() -> None:
    finding = broken("S3", expected="this", actual="that", todo="do it")

    first, second = finding.text.splitlines()

    assert first.split() == ["broken", "S3", "lock", "expected", "this,", "actual", "that"]
    assert second.strip() == "do it (docs/contract.md#s3-lock)"
    assert finding.data["docs"] == "docs/contract.md#s3-lock"
    assert finding.data["state"] == "broken"


def test_a_clause_that_is_kept_or_not_checked_is_one_line() -> None:
    assert ok("P1").text.split(maxsplit=3)[3] == "/api/healthz answers 200"
    assert ok("P1", "3 times").text.endswith("3 times")
    assert not_checked("P10", "no token").text.startswith("not checked  P10")
