"""The command `selfdeploy`: `inv`'s commands, with grouped help, environments as words, and errors like ours."""

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from invoke import Argument, Collection, Exit, Program
from invoke.exceptions import ParseError

from selfdeploy import errors
from selfdeploy.shipped import guide

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Every day": (
        *("release", "plan", "status", "history", "logs", "probe", "promote", "rollback", "up", "restart", "down"),
        *("unhold", "report"),
    ),
    "Each stage by itself": ("gates", "build", "manifest", "verify", "bundle", "sbom", "rollout", "render"),
    "Set-up": (
        *("doctor", "init", "contract", "config", "base", "registry.up", "keys.new", "kubernetes.role"),
        "completion",
    ),
    "The shared server": ("vega.up", "vega.restart", "vega.status", "vega.logs", "vega.shell", "vega.down"),
}
"""The commands by group, as the help lists them."""

EXAMPLES = (
    ("selfdeploy release", "the whole way, to every environment"),
    ("selfdeploy plan", "what that would do"),
    ("selfdeploy logs prod --follow", "what the server says"),
    ("selfdeploy rollback prod", "back to what was proven before"),
)

OPTIONS = {
    "dry": "Say what the command would do, and change nothing.",
    "help": "Print this, or with a command, its flags.",
    "version": "Print the version.",
}
"""Global options listed in the help; `invoke.Program.core_args` has them all."""

USAGE = errors.ConfigInvalid.exit_code
"""Exit code for an invalid command line."""


class Own(Program):
    """Invoke's program with our help and our errors; COLLECTION has the commands."""

    def __init__(self, collection: Collection) -> None:
        """Use the commands of COLLECTION."""
        self._commands = collection
        version = metadata.version("selfdeploy")
        super().__init__(namespace=collection, name="selfdeploy", binary="selfdeploy", version=version)

    def run(self, argv: Any = None, exit: bool = True) -> None:  # noqa: A002, ANN401 -- invoke's
        """Run ARGV, or the process's own arguments; if the reader of the output goes away, exit quietly with 0."""
        words = list(sys.argv if argv is None else argv)
        try:
            if words[1:2] == ["help"]:
                words = self._help(words[0], words[2:])
            super().run(words, exit)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at exit
            raise SystemExit(0) from None

    def _help(self, name: str, topics: list[str]) -> list[str]:
        """Return NAME's command line for help on TOPICS; if the topic is a page of the docs, print it and exit."""
        if not topics or topics[0] in self._commands.task_names:
            return [name, *topics[:1], "--help"]
        try:
            page = guide.read(topics[0])
        except errors.ConfigInvalid as exc:
            print(f"error: {exc.message}\nhint: {exc.hint}; selfdeploy COMMAND --help", file=sys.stderr)
            raise SystemExit(exc.exit_code) from exc
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.markdown import Markdown

            Console().print(Markdown(page))
        else:
            print(page, end="")
        raise SystemExit(0)

    def normalize_argv(self, argv: Any) -> None:  # noqa: ANN401 -- invoke's
        """Turn an environment, written as a word after a command, into the value of its flag."""
        super().normalize_argv(argv)
        self.argv = [self.argv[0], *reworded(self.argv[1:], takers(self._commands), set(self._commands.task_names))]

    def parse_tasks(self) -> None:
        """Parse the commands; an invalid command line ends with our exit code and the nearest name."""
        try:
            super().parse_tasks()
        except ParseError as exc:
            raise Exit(message=self._explain(str(exc)), code=USAGE) from exc

    def _explain(self, what: str) -> str:
        word = what.split("'")[1] if what.count("'") > 1 else ""
        flags = {flag for context in self.parser.contexts.values() for flag in context.flags}
        near = nearest(word, [*self._commands.task_names, *flags])
        hint = f"did you mean {near}?" if near else "selfdeploy --help lists the commands"
        return f"error: {what}\nhint: {hint}"

    def print_help(self) -> None:
        """Print the commands in groups, each with the first line of its docstring."""
        print("selfdeploy takes SF from a source revision to production, and proves which build is running.\n")
        print("Usage: selfdeploy COMMAND [ENVIRONMENT] [--flags]; selfdeploy COMMAND --help lists the flags\n")
        for title, names in GROUPS.items():
            print(f"{title}\n")
            for name in names:
                print(f"  {name:<16}  {self._first_line(name)}")
            print()
        print("Examples\n")
        for line, what in EXAMPLES:
            print(f"  {line:<30}  {what}")
        print("\nPages of the docs: selfdeploy help PAGE\n")
        for page, title in guide.topics().items():
            print(f"  {page:<16}  {title}")
        print("\nOptions of every command\n")
        for argument in self.core_args():
            if argument.name in OPTIONS:
                print(f"  {', '.join(_dashed(argument)):<16}  {OPTIONS[argument.name]}")

    def print_task_help(self, name: str) -> None:
        """Print the docstring, the usage and the flags of the command NAME."""
        taken = " [ENVIRONMENT]" if name in takers(self._commands) else ""
        print(f"{str(self._commands[name].__doc__).strip()}\n\nUsage: selfdeploy {name}{taken} [--flags]\n")
        self.print_columns(self.parser.contexts[name].help_tuples())

    def list_tasks(self) -> None:
        """Print the same as `print_help`."""
        self.print_help()

    def _first_line(self, name: str) -> str:
        return str(self._commands[name].__doc__ or "").strip().splitlines()[0]


def _dashed(argument: Argument) -> list[str]:
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in sorted(argument.names, key=len)]


def takers(collection: Collection) -> set[str]:
    """Return the names of COLLECTION's commands with a flag `--environment`."""
    return {
        name
        for name in collection.task_names
        if any(argument.name == "environment" for argument in collection[name].get_arguments())
    }


def reworded(words: Sequence[str], takes: set[str], commands: set[str]) -> list[str]:
    """Return the command line WORDS, with `--environment` inserted before an environment after one of TAKES.

    A word in COMMANDS is the next command instead.
    """
    told: list[str] = []
    for word in words:
        if told and told[-1] in takes and not word.startswith("-") and word not in commands:
            told.append("--environment")
        told.append(word)
    return told


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the word in KNOWN nearest to WORD; empty if none is near."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), "")
