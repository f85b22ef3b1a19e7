"""The commands as tasks of invoke: their names, the help of their flags, and how an error ends one."""

import atexit
import functools
import gc
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from invoke import Collection, Context, Exit, Task, task

from selfdeploy import console, errors, interrupts
from selfdeploy.commands import release, setup, upkeep, vega
from selfdeploy.shipped import guide

# invoke forbids bytecode, so that each start would compile all that a command imports; as the interpreter was told.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
gc.set_threshold(20_000)  # what a command imports is many objects and no garbage
atexit.register(gc.freeze)  # a process that ends has no use for a last look at all its objects
HELP = {  # of a flag, or of COMMAND.flag where it means something else there
    "bind": "The address of this host that the server is published on.",
    "bundle": "The file of inv bundle to verify, instead of a release on record; no registry is asked.",
    "bundle.output": "The file; dist/sf-release-bundle.json when left out.",
    "build": "Build what the server runs first, with all that is uncommitted.",
    "environment": "The environment; a name from deploy.toml.",
    "follow": "Go on with what comes, until interrupted.",
    "fresh": "Whatever is on record, run the gates anew, or take what they left here.",
    "front": "The log of the front before the replicas.",
    "image": "An image that somebody else built: REPOSITORY@sha256:...",
    "json": "Print events and the result as JSON lines.",
    "manifest": "The release manifest that the server at URL was started with.",
    "keys_new.output": "The new pair: OUTPUT.key, for this machine only, and OUTPUT.pub, for deploy.toml.",
    "sbom.output": "The file to write the SBOM to, instead of printing it.",
    "output": "The folder; it holds nothing else, and is made when it is not there.",
    "port": "The port that the server is published on.",
    "older": "Take a revision that is older than the one that runs.",
    "recorded": "Run nothing; print the release of it that is on record, if there is one.",
    "quiet": "Print the result only.",
    "release": "The release of that digest: REPOSITORY@sha256:...",
    "revision": "The release of that revision instead of HEAD's.",
    "contract.revision": "The revision that the server at URL has to name: a branch, a tag or a commit.",
    "source": "SF's checkout; deploy.toml's source.path when left out.",
    "twice": "Build it once more, without a cache, and compare the digests.",
    "start": "Start what the gates left to ship, as the image and vega do, and end it with SIGTERM.",
    "tail": "How many lines.",
    "verify": "Verify that no entry was changed, removed or put in between, and say who signed them.",
    "verbose": "Say also how much of the disk the working files take.",
    "wait": "Wait for who holds the environment, so many seconds; an hour when none are given.",
    "url": "The address of a running server, as in http://127.0.0.1:4000.",
    "workspace": "The repository at /workspace; SF's checkout when left out.",
    "workspaces": "The folder of repositories to switch to; the parent of SF's checkout when left out.",
    "release.to": "The environment to stop after.",
    "rollback.to": "What it has proven, to go back to: a release, digest or revision.",
    "digest": "The digest that is on hold, as inv status shows it.",
    "dry_run": "Say what the command would do, and change nothing; as --dry before or after the command.",
    "exit_code": "End with 0 when nothing is to do, with 2 when something is, else with the code of what blocks it.",
    "proven": "Ask for what the environment last proved, and not for the release of HEAD.",
    "hold": "Put what is left on hold, so that the next release of the same revision does not bring it back.",
    "check": "End with 50 unless all is well.",
    "metrics": "Print the text that Prometheus reads.",
    "watch": "Look again every five seconds, until interrupted.",
    "html": "The file to write the page to; it opens in any browser, and takes nothing from elsewhere.",
    "markdown": "Print Markdown, for the summary of a CI run.",
    "schema": "Print the JSON Schema of deploy.toml, for editors that complete it.",
    "shell": "The shell: bash, fish or zsh.",
    "yes": "Do not ask on the terminal first.",
}

SHORT = {
    "build": "b",
    "digest": "d",
    "dry_run": "n",
    "environment": "e",
    "follow": "f",
    "image": "i",
    "json": "j",
    "output": "o",
    "port": "p",
    "quiet": "q",
    "revision": "r",
    "source": "s",
    "to": "t",
    "verbose": "v",
    "wait": "w",
    "yes": "y",
}
"""The short flags; each means the same in every command."""

ALIASES = {"release": ("deploy",)}
"""Other names of commands."""

IDLE = {"run": ("echo", "hide", "pty", "warn"), "timeouts": ("command",), "tasks": ("dedupe",), "sudo": ("password",)}
"""The settings of invoke's global options that no command of ours heeds, as `invoke.Program.update_config` has them."""

OPTION = {
    "warn": "warn-only",
    "command": "command-timeout",
    "dedupe": "no-dedupe",
    "password": "prompt-for-sudo-password",
}
"""The options whose names are others than their settings'."""


class Command(Task):  # type: ignore[type-arg]
    """A task whose flags have the help of `HELP` and the short forms of `SHORT`, not the first letter that is free."""

    def __init__(self, told: Mapping[str, str], *args: Any, **options: Any) -> None:  # noqa: ANN401 -- invoke's
        """Make the task; TOLD is the help of each flag."""
        self._told = told
        super().__init__(*args, **options)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:  # noqa: ANN401 -- invoke's
        """Return what invoke makes the flag NAME of."""
        options: dict[str, Any] = super().arg_opts(name, default, taken_names)
        names = [*options["names"], *([SHORT[name]] if name in SHORT else [])]
        return {**options, "names": names, "help": self._told[name]}


def refuse_idle(context: Context) -> None:
    """Raise `errors.ConfigInvalid` when the command line of CONTEXT has an option of invoke's that does nothing here.

    What a person's own settings of invoke say is for their other projects, and no mistake.
    """
    given = context.config._overrides  # noqa: SLF001 -- the command line alone, without the files
    for group, names in IDLE.items():
        for name in names:
            if name in given.get(group, {}):
                option = f"--{OPTION.get(name, name)}"
                raise errors.ConfigInvalid(
                    f"{option}: does nothing here", "leave it out; inv COMMAND --help lists ours"
                )


def _finish(shown: console.Console) -> None:
    """Let the news of a rollout that this command made get out; who made none has not loaded what sends it."""
    if sender := sys.modules.get("selfdeploy.rollout.notify"):
        sender.finish(shown.note)


def command(function: Callable[..., int | None], name: str = "", positional: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 -- invoke's Task is untyped
    """Make FUNCTION, which takes a console and flags, a task with --json and --quiet, typed as NAME or as its own name.

    Errors of ours end invoke with their own exit code and no traceback.
    """

    @functools.wraps(function)
    def run(context: Context, *args: Any, json: bool = False, quiet: bool = False, **flags: Any) -> None:  # noqa: ANN401
        interrupts.listen()
        shown = console.choose(command=name or function.__name__, json=json, quiet=quiet)
        code = 0
        try:
            refuse_idle(context)
            if context.config.run.dry and "dry_run" in names:
                flags["dry_run"] = True
            for flag in needed:
                if flags.get(flag) is None:
                    raise errors.ConfigInvalid(f"--{flag} is needed", "inv COMMAND --help lists the flags")
            code = function(shown, *args, **flags) or 0
        except errors.SelfdeployError as exc:
            code = exc.exit_code
            shown.error(exc.message, guide.fit(exc.hint), code)
        except OSError as exc:
            error = errors.unusable(exc)
            code = error.exit_code
            shown.error(error.message, guide.fit(error.hint), code)
        except KeyboardInterrupt:
            code = errors.Interrupted.exit_code
            shown.error("interrupted", "run it again to go on; inv status shows what runs", code)
        finally:
            _finish(shown)
            shown.close()
        if code:
            raise Exit(code=code)

    given = list(inspect.signature(function).parameters.values())
    needed = [parameter.name for parameter in given[1:] if parameter.default is inspect.Parameter.empty]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=False) for n in ("json", "quiet")]
    run.__signature__ = inspect.Signature([context, *given[1:], *more])  # type: ignore[attr-defined]
    names = {parameter.name for parameter in (*given[1:], *more)}
    optional = [name for name in names if name == "wait"]
    # Where an argument is no flag, invoke takes the `--help` of `inv COMMAND --help` for it.
    told = {n: HELP.get(f"{function.__name__}.{n}") or HELP[n] for n in names}
    return task(
        run,
        klass=functools.partial(Command, told),
        aliases=ALIASES.get(function.__name__, ()),  # not add_task's: no command line knows those
        optional=optional,
        positional=positional,
        auto_shortflags=False,
    )


def completion(show: console.Console, shell: str) -> None:
    """Print the completion script for SHELL: bash, fish or zsh."""
    from selfdeploy.commands import completion as scripts

    if shell not in scripts.SHELLS:
        raise errors.ConfigInvalid(f"{shell}: there is none for that", f"the shells are {', '.join(scripts.SHELLS)}")
    flags = {name: [tuple(flag.names) for flag in namespace[name].get_arguments()] for name in namespace.task_names}
    show.result(scripts.script(shell, flags).rstrip("\n"))


namespace = Collection()
_functions: tuple[Callable[..., int | None], ...] = (
    *release.FUNCTIONS,
    *upkeep.FUNCTIONS,
    *setup.FUNCTIONS,
)
for _function in _functions:
    namespace.add_task(command(_function))
namespace.add_task(command(completion, positional=("shell",)))
_registry = Collection("registry")
_registry.add_task(command(setup.registry_up, "registry.up"), name="up")
namespace.add_collection(_registry)
_keys = Collection("keys")
_keys.add_task(command(setup.keys_new, "keys.new"), name="new")
namespace.add_collection(_keys)
_kubernetes = Collection("kubernetes")
_kubernetes.add_task(command(setup.kubernetes_role, "kubernetes.role"), name="role")
namespace.add_collection(_kubernetes)
_vega = Collection("vega")
for _function in vega.FUNCTIONS:
    _vega.add_task(command(_function, f"vega.{_function.__name__}"))
namespace.add_collection(_vega)


def main() -> None:
    """Run as a command of its own: for who installs the package, and where there is no tasks.py yet."""
    from selfdeploy.commands.program import Own

    Own(namespace).run()
