"""Run a command on a real pseudo-terminal, and write what is on its screen in the end as an SVG picture.

`python -m lab.picture` makes those of the README, `python -m lab.picture FILE COMMAND...` another.
"""

import io
import itertools
import os
import re
import shlex
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from lab import children
from lab.children import LabError
from lab.terminal import opened
from selfdeploy import errors

COLUMNS, ROWS = 104, 200
PATIENCE = 3600.0

HIDDEN = re.compile(r"CI|NO_COLOR|PYTHONPATH|NOX_.*|(GITHUB|FORGEJO)_.*")
"""What is in the environment of a CI run or a nox session, and not in a person's."""

DOCS = Path(__file__).parents[2] / "docs"

READY = "export const notReady = (): string | null => {\n"
CHANGES = (
    ("release.svg", "app/page.tsx", ("is running", "runs"), "shorten the title", 0),
    (
        "put-back.svg",
        "lib/ready.ts",
        (READY, f'{READY}  if (process.env.SF_ENVIRONMENT) return "the database is away";\n'),
        "ask the database first",
        errors.PutBack.exit_code,
    ),
)
"""Each picture, the file that is changed for it, what in it, the commit's message, and the exit code of the release.

What is never ready starts well before there is an environment: the gates pass.
"""

LOCAL = ("127.0.0.1", "localhost")

FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own form loads fonts from elsewhere; this one takes what the reader has."""


def private(text: str) -> list[str]:
    """Return what in TEXT says where the picture was made: paths, this host's name, names of other hosts."""
    paths = [path for path in re.findall(r"(?<![\w.:/-])/[\w.-]+(?:/[\w.-]*)*", text) if not path.startswith("/api/")]
    hosts = [host for host in re.findall(r"\w+://(?:[^/\s]*@)?([^/:\s]+)", text) if host not in LOCAL]
    name = socket.gethostname()
    return [*paths, *hosts, *([name] if name not in LOCAL and name in text else [])]


def style(char: pyte.screens.Char) -> Style:
    """Return the style that CHAR is drawn in."""

    def colour(name: str) -> str:
        if re.fullmatch(r"[0-9a-f]{6}", name):
            return f"#{name}"
        return name.replace("brown", "yellow").replace("bright", "bright_")

    return Style(
        color=colour(char.fg),
        bgcolor=colour(char.bg),
        bold=char.bold,
        italic=char.italics,
        underline=char.underscore,
        reverse=char.reverse,
    )


def svg(argv: Sequence[str], screen: pyte.Screen) -> str:
    """Return the picture of SCREEN, under the prompt at which ARGV was typed.

    Raises:
        LabError: something on it says where it was made.
    """
    told = private("".join([*screen.display, " ", shlex.join(argv)]))
    if told:
        raise LabError(f"not for everybody: {', '.join(sorted(set(told)))}")
    console = Console(record=True, file=io.StringIO(), width=screen.columns, force_terminal=True, legacy_windows=False)
    used = max((row + 1 for row, line in enumerate(screen.display) if line.strip()), default=0)
    console.print(Text.assemble(("$ ", "bright_black"), shlex.join(argv)))
    for row in range(used):
        chars = [screen.buffer[row][column] for column in range(screen.columns)]
        runs = itertools.groupby(chars, style)
        line = Text.assemble(*(("".join(char.data for char in run), look) for look, run in runs))
        line.rstrip()
        console.print(line, no_wrap=True, crop=True)
    return console.export_svg(title="", code_format=FORM, unique_id="terminal")


def record(argv: Sequence[str], environment: Mapping[str, str], expected: int = 0) -> str:
    """Return the picture of ARGV, run to its end.

    Raises:
        LabError: its exit code is another than EXPECTED, or its screen is not for everybody.
    """
    person = {name: value for name, value in environment.items() if not HIDDEN.fullmatch(name)}
    person |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    with opened(argv, environment=person, columns=COLUMNS, rows=ROWS) as terminal:
        code = terminal.wait(seconds=PATIENCE)
        if code != expected:
            raise LabError("\n  | ".join([f"{shlex.join(argv)}: exit code {code}", *terminal.lines]))
        return svg(argv, terminal.screen)


def record_both(environment: Mapping[str, str]) -> None:
    """Write the README's pictures: a release of a commit to the bundled application, and one that is never ready."""
    release = ["inv", "release"]
    children.run(release, timeout=PATIENCE)  # so that one commit comes, and nobody else's
    with tempfile.TemporaryDirectory() as folder:
        children.run(["git", "clone", "--quiet", str(DOCS.parent), folder])
        web = Path(folder) / "examples" / "sf" / "web"
        source = {**environment, "SF_SOURCE_DIR": str(web.parent)}
        for name, file, change, message, expected in CHANGES:
            changed = (web / file).read_text().replace(*change)
            (web / file).write_text(changed)
            git = ["git", "-C", folder, "-c", "user.name=sf", "-c", "user.email=sf@localhost"]
            children.run([*git, "commit", "--quiet", "--all", "--message", message])
            (DOCS / name).write_text(record(release, source, expected), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(record(sys.argv[2:], os.environ), encoding="utf-8")
    else:
        record_both(os.environ)
