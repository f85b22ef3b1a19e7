"""The docs that come with us, and hints that name only what there is."""

import contextlib
import re
from pathlib import Path

from selfdeploy import errors, shipped

CHECKOUT = Path(__file__).resolve().parents[2]
"""A checkout of ours, where this is one."""

PAGE = re.compile(r"docs/([a-z-]+)\.md(?:#[a-z0-9-]+)?")
BOOTSTRAP = re.compile(r" ?\(\./bootstrap does\)|run \./bootstrap --check|\./bootstrap --check says what to install")


def topics() -> dict[str, str]:
    """Return the names of the pages, and the title of each."""
    pages = sorted(_page("operations").parent.glob("*.md"))
    return {page.stem: page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for page in pages}


def read(topic: str) -> str:
    """Return the page TOPIC, as Markdown.

    Raises:
        errors.ConfigInvalid: there is none of that name.
    """
    if topic not in topics():
        raise errors.ConfigInvalid(f"{topic}: no page of that name", f"the pages are {', '.join(topics())}")
    return _page(topic).read_text(encoding="utf-8")


def _page(topic: str) -> Path:
    return shipped.own(f"docs/{topic}.md")


def fit(text: str, here: Path | None = None) -> str:
    """Return TEXT with commands for our files, unless HERE, or else the present folder, is a checkout of ours.

    Somebody's own repository may have files of the same names. The present folder may be gone, as a cancelled run's is.
    """
    with contextlib.suppress(OSError):
        if (here or Path.cwd()).resolve() == CHECKOUT:
            return text
    text = PAGE.sub(lambda page: f"selfdeploy help {page[1]}", text)
    return BOOTSTRAP.sub(lambda told: "" if "does" in told[0] else "selfdeploy doctor says what is missing", text)
