"""The docs that come with us, and hints that name only what there is."""

import re
from pathlib import Path

from selfdeploy import errors

PAGE = re.compile(r"(docs/([a-z-]+)\.md)(?:#[a-z0-9-]+)?")
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
    from selfdeploy import shipped  # noqa: PLC0415 -- start-up is a feature

    return shipped.own(f"docs/{topic}.md")


def fit(hint: str, here: Path | None = None) -> str:
    """Return HINT, or what else names pages, as who stands in HERE, or in this folder, can follow it."""
    here = here or Path.cwd()
    hint = PAGE.sub(lambda page: page[0] if (here / page[1]).is_file() else f"selfdeploy help {page[2]}", hint)
    if (here / "bootstrap").is_file():
        return hint
    return BOOTSTRAP.sub(lambda told: "" if "does" in told[0] else "selfdeploy doctor says what is missing", hint)
