"""Our own docs, and hints adapted to the files of the current folder."""

import contextlib
import re
from pathlib import Path

from selfdeploy import errors, shipped

CHECKOUT = Path(__file__).resolve().parents[3]
"""The top of our own checkout, if this module is in one."""

PAGE = re.compile(r"docs/([a-z-]+)\.md(?:#[a-z0-9-]+)?")
BOOTSTRAP = re.compile(r" ?\(\./bootstrap does\)|run \./bootstrap --check|\./bootstrap --check says what to install")


def topics() -> dict[str, str]:
    """Return the pages' titles by name."""
    pages = sorted(_page("operations").parent.glob("*.md"))
    return {page.stem: page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for page in pages}


def read(topic: str) -> str:
    """Return the page TOPIC, as Markdown.

    Raises:
        errors.ConfigInvalid: there is no page of that name.
    """
    if topic not in topics():
        raise errors.ConfigInvalid(f"{topic}: no page of that name", f"the pages are {', '.join(topics())}")
    return _page(topic).read_text(encoding="utf-8")


def _page(topic: str) -> Path:
    return shipped.own(f"docs/{topic}.md")


def fit(text: str, here: Path | None = None) -> str:
    """Replace our files in TEXT with commands, unless HERE, or else the current folder, is our own checkout.

    Another repository may have files of the same names. The current folder may be gone, as after a cancelled run.
    """
    with contextlib.suppress(OSError):
        if (here or Path.cwd()).resolve() == CHECKOUT:
            return text
    text = PAGE.sub(lambda page: f"selfdeploy help {page[1]}", text)
    return BOOTSTRAP.sub(lambda told: "" if "does" in told[0] else "selfdeploy doctor says what is missing", text)
