"""The report as a page, in a real Chromium, and as Markdown."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from lab import browser
from lab.needed import need
from lab.site import IMPATIENT, Site

HOSTILE = "<img src=x onerror=alert(1)> & *bold* | pipe"


@pytest.fixture(scope="module")
def told(site: Site) -> Site:
    """A site with a history: two releases, one that failed and was put back, one rolled back, and one to come."""
    site.commit(HOSTILE)
    assert site.inv("release").returncode == 0
    site.configure(probes=IMPATIENT)
    site.answer_as_another_revision()
    assert site.inv("release").returncode == 51
    site.configure()
    site.git("reset", "--quiet", "--hard", "HEAD~1")
    assert site.inv("rollback", "-e", "prod").returncode == 0
    site.commit("to come")
    return site


def test_the_page_says_what_runs_where_what_was_tried_and_what_comes(told: Site) -> None:
    need(browser.MISSING)
    file = told.folder / "report.html"

    done = told.inv("report", "--html", str(file))
    seen = browser.read(file.as_uri())

    assert done.returncode == 0, done.stderr
    text = re.sub(r"\s+", " ", re.sub("<style>.*?</style>|<[^>]+>", " ", seen, flags=re.DOTALL))
    assert "test on hold" not in text
    assert text.count(told.version("prod")["revision"][:12]) >= 2
    assert "failed; " in text
    assert "put back" in text
    assert "rolled back, proven" in text
    assert "+ " in text
    assert "to come" in text
    assert re.search(r"test-unit [0-9.]+ s · [0-9]+ tests ran", text)
    assert seen.count('class="failed"') == 1
    assert len(re.findall('class="bar"', seen)) == len(told.attempts("test")) + len(told.attempts("prod"))


def test_nothing_that_a_commit_says_is_markup_and_nothing_comes_from_elsewhere(told: Site) -> None:
    need(browser.MISSING)
    file = told.folder / "report.html"
    told.inv("report", "--html", str(file))

    written, seen = file.read_text(), browser.read(file.as_uri())

    assert "&lt;img src=x onerror=alert(1)&gt;" in written
    assert "<img" not in seen
    assert "<script" not in written
    assert re.findall(r"""(?:src|href)=["'](?!http)""", written) == []
    assert re.findall(r"url\(|@import", written) == []
    assert "default-src 'none'" in written


def test_the_page_adapts_to_the_screen_s_width_and_to_a_dark_color_scheme(told: Site, tmp_path: Path) -> None:
    need(browser.MISSING)
    file = told.folder / "report.html"
    told.inv("report", "--html", str(file))
    widths = {}

    for name, width, dark in (("wide", 1200, False), ("dark", 1200, True), ("narrow", 420, False)):
        picture = tmp_path / f"{name}.png"
        browser.take_picture(file.as_uri(), picture, width=width, height=1500, dark=dark)
        widths[name] = picture.read_bytes()

    assert widths["wide"] != widths["dark"]
    assert all(data.startswith(b"\x89PNG") for data in widths.values())
    assert len({len(data) for data in widths.values()}) > 1


def test_the_same_is_there_as_markdown_for_a_summary(told: Site) -> None:
    done = told.inv("report", "--markdown")

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert any(row.startswith("| prod | ok |") for row in rows)
    assert r"\<img src=x onerror=alert\(1\)\> & \*bold\* \| pipe" in done.stdout
    assert {row.count(" | ") for row in rows if r"\|" not in row} == {5}


def test_a_page_of_an_environment_that_cannot_be_asked_is_made_all_the_same(told: Site) -> None:
    file = told.folder / "away.html"
    dataclasses.replace(told, engine="unix:///nowhere/docker.sock").configure()
    done = told.inv("report", "--html", str(file), "--json")
    told.configure()

    assert done.returncode == 0, done.stderr
    assert "unreachable" in file.read_text()
    assert json.loads(done.stdout.splitlines()[-1])["environments"][0]["error"]
