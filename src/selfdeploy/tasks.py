"""The commands: names, flags and help; no logic."""

import atexit
import functools
import gc
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke import Collection, Context, Exit, Program, task

from selfdeploy import console, errors, interrupts, vega_tasks
from selfdeploy.console import Console

atexit.register(gc.freeze)  # a process that ends has no use for a last look at all its objects
HELP = {
    "bind": "The address of this host that the server is published on.",
    "build": "Build what the server runs first, with all that is uncommitted.",
    "environment": "The environment; a name from deploy.toml.",
    "follow": "Go on with what comes, until interrupted.",
    "fresh": "Whatever is on record, run the gates anew, or take what they left here.",
    "image": "An image that somebody else built: REPOSITORY@sha256:...",
    "json": "Print events and the result as JSON lines.",
    "output": "The folder; it holds nothing else, and is made when it is not there.",
    "port": "The port that the server is published on.",
    "older": "Take a revision that is older than the one that runs.",
    "quiet": "Print the result only.",
    "release": "The release of that digest: REPOSITORY@sha256:...",
    "revision": "The release of that revision instead of HEAD's.",
    "source": "SF's checkout; deploy.toml's source.path when left out.",
    "twice": "Build it once more, without a cache, and compare the digests.",
    "tail": "How many lines.",
    "wait": "Wait for who holds the environment, so many seconds; an hour when none are given.",
    "workspace": "The repository at /workspace; SF's checkout when left out.",
    "workspaces": "The folder of repositories to switch to; the parent of SF's checkout when left out.",
    "to": "release: the environment to stop after; rollback: a release, digest or revision that it has proven.",
    "digest": "The digest that is on hold, as inv status shows it.",
}


def command(function: Callable[..., None]) -> Any:  # noqa: ANN401 -- invoke's Task is untyped
    """Make FUNCTION, which takes a console and flags, a task with --json and --quiet.

    Errors of ours end invoke with their own exit code and no traceback.
    """

    @functools.wraps(function)
    def run(_: Context, *args: Any, json: bool = False, quiet: bool = False, **flags: Any) -> None:  # noqa: ANN401
        interrupts.listen()
        shown = console.choose(json=json, quiet=quiet)
        code = 0
        try:
            for flag in needed:
                if flags.get(flag) is None:
                    raise errors.ConfigInvalid(f"--{flag} is needed", "inv COMMAND --help lists the flags")
            function(shown, *args, **flags)
        except errors.SelfdeployError as exc:
            code = exc.exit_code
            shown.error(exc.message, exc.hint, code)
        except OSError as exc:
            error = errors.unusable(exc)
            code = error.exit_code
            shown.error(error.message, error.hint, code)
        except KeyboardInterrupt:
            code = errors.Interrupted.exit_code
            shown.error("interrupted", "run it again to go on; inv status shows what runs", code)
        finally:
            shown.close()
        if code:
            raise Exit(code=code)

    given = list(inspect.signature(function).parameters.values())
    needed = [parameter.name for parameter in given[1:] if parameter.default is inspect.Parameter.empty]
    context = inspect.Parameter("_", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=False) for n in ("json", "quiet")]
    run.__signature__ = inspect.Signature([context, *given[1:], *more])  # type: ignore[attr-defined]
    names = {parameter.name for parameter in (*given[1:], *more)}
    optional = [name for name in names if name == "wait"]
    # With arguments that are no flags, invoke would take the `--help` of `inv COMMAND --help` for the first of them.
    return task(run, help={n: text for n, text in HELP.items() if n in names}, optional=optional, positional=[])


@command
def gates(show: Console, source: str = "", fresh: bool = False) -> None:
    """Run SF's gates on its HEAD, unless they have passed."""
    from selfdeploy import release

    with show.stage("gates"):
        gated = release.load(show, source_path=source).assembly.run_gates(fresh=fresh)
    show.result(gated.digest, {"tree": gated.digest, "revision": gated.revision.commit})


@command
def build(show: Console, source: str = "", image: str = "", fresh: bool = False, twice: bool = False) -> None:
    """Build and push the image of the gated tree, or check one that somebody else built."""
    from selfdeploy import release

    built = release.load(show, source_path=source).build(image, fresh=fresh, twice=twice)
    show.result(built, {"image": built})


@command
def manifest(
    show: Console, source: str = "", release: str = "", revision: str = "", image: str = "", fresh: bool = False
) -> None:
    """Write dist/sf-release-manifest.json and its record in the registry; or fetch the one of another release."""
    from selfdeploy import release as releases

    found = releases.load(show, source_path=source).manifest(release, revision, foreign=image, fresh=fresh)
    show.result(found.manifest.release, {"release": found.manifest.release, "image": found.manifest.image.reference})


@command
def rollout(
    show: Console,
    environment: str,
    source: str = "",
    release: str = "",
    revision: str = "",
    older: bool = False,
    wait: str = "",
) -> None:
    """Roll the release out to ENVIRONMENT, the first one; what comes after another takes inv promote."""
    from selfdeploy import release as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    wanted = releasing.require(release, revision)
    releasing.rollout(environment, wanted, older=older)
    show.result(*releasing.summary([environment], wanted))


@command
def promote(
    show: Console,
    environment: str,
    source: str = "",
    release: str = "",
    revision: str = "",
    older: bool = False,
    wait: str = "",
) -> None:
    """Roll the release out to ENVIRONMENT, with the proof, made now, of every environment before it."""
    from selfdeploy import release as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    wanted = releasing.require(release, revision)
    releasing.rollout(environment, wanted, older=older, promoting=True)
    show.result(*releasing.summary([environment], wanted))


@command
def probe(show: Console, environment: str, source: str = "", release: str = "", revision: str = "") -> None:
    """Ask ENVIRONMENT which build is running, and fail unless it is the release."""
    from selfdeploy import release as releases

    releasing = releases.load(show, source_path=source)
    show.result(*releasing.probe(environment, release, revision))


@command
def plan(show: Console, source: str = "") -> None:
    """Say for each stage whether its result is there, and why; change nothing."""
    from selfdeploy import release

    lines = release.load(show, source_path=source).plan()
    show.result("\n".join(map(str, lines)), [vars(line) for line in lines])


@command
def release(
    show: Console,
    source: str = "",
    to: str = "",
    fresh: bool = False,
    image: str = "",
    older: bool = False,
    wait: str = "",
) -> None:
    """Take HEAD of SF through gates, image and manifest to every environment, up to --to."""
    from selfdeploy import release as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    released = releasing.converge(to=to, fresh=fresh, foreign=image, older=older)
    show.result(*releasing.summary(releasing.names(to), released))


@command
def render(
    show: Console, environment: str, output: str, source: str = "", release: str = "", revision: str = ""
) -> None:
    """Write the files that run the release in ENVIRONMENT to the folder OUTPUT, for who applies them by other means."""
    from selfdeploy import release as releases

    written = releases.load(show, source_path=source).render(environment, Path(output), release, revision)
    show.result("\n".join(written), {"folder": output, "files": written})


@command
def rollback(show: Console, environment: str, to: str = "", wait: str = "") -> None:
    """Put ENVIRONMENT back to what it proved before."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

    with show.stage(environment):
        proven, known = upkeep.roll_back(deploy_toml.load(), environment, to, queue.parse(wait, show.note), show.took)
    told = proven.model_dump(exclude={"manifest", "rendered"}) | {"warning": known}
    show.result(f"{environment} runs {proven.revision} ({proven.digest}), proven\n{known}".strip(), told)


@command
def unhold(show: Console, environment: str, digest: str, wait: str = "") -> None:
    """Free DIGEST, which failed in ENVIRONMENT, to be rolled out there again."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

    upkeep.unhold(deploy_toml.load(), environment, digest, queue.parse(wait, show.note))
    show.result(f"{environment}: {digest} is free", {"environment": environment, "digest": digest})


@command
def status(show: Console, environment: str = "") -> None:
    """Say for each environment, or for ENVIRONMENT, what it runs, what it last proved, and who holds it."""
    from selfdeploy import deploy_toml, upkeep

    project = deploy_toml.load()
    names = [environment] if environment else project.environments
    told = [upkeep.read_status(project, name) for name in names]
    show.result("\n\n".join(map(str, told)), [status.as_data() for status in told])


@command
def report(show: Console, source: str = "") -> None:
    """Say which release this is, and what answers in every environment and for how long; changes nothing."""
    from selfdeploy import release

    told = release.load(show, source_path=source).report()
    show.result(str(told), told.as_data())


@command
def history(show: Console, environment: str) -> None:
    """List the attempts on ENVIRONMENT and how each ended, newest first."""
    from selfdeploy import deploy_toml, upkeep

    told = upkeep.read_history(deploy_toml.load(), environment)
    show.result("\n".join(map(str, told)), [attempt.model_dump() for attempt in told])


@command
def logs(show: Console, environment: str, tail: str = "100", follow: bool = False) -> None:
    """Print what the replicas of ENVIRONMENT wrote last."""
    from selfdeploy import deploy_toml, environments, flags

    lines = flags.count("--tail", tail)
    show.result(environments.connect(deploy_toml.load(), environment).logs(lines, follow=follow))


@command
def down(show: Console, environment: str, wait: str = "") -> None:
    """Stop and remove ENVIRONMENT's server; its volumes and its record stay."""
    from selfdeploy import deploy_toml, upkeep
    from selfdeploy.environments import queue

    with show.stage(environment):
        upkeep.take_down(deploy_toml.load(), environment, queue.parse(wait, show.note))


@command
def registry_up(show: Console) -> None:
    """Start the local registry, unless it answers."""
    from selfdeploy import release

    releasing = release.load(show)
    releasing.ready_registry()
    show.result(releasing.project.image.repository, {"repository": releasing.project.image.repository})


@command
def base(show: Console) -> None:
    """Build the base image, unless the registry has it, and print it by digest."""
    from selfdeploy import release

    releasing = release.load(show)
    releasing.ready_registry()
    found = releasing.assembly.images.base()
    show.result(found, {"base": found})


@command
def init(show: Console) -> None:
    """Write what this repository, which holds SF, lacks to be released; what is there stays."""
    from selfdeploy import layout, source

    source.refuse_below(Path.cwd())
    files = layout.write(Path.cwd())
    show.result("\n".join(map(str, files)), [{"file": file.name, "state": file.state} for file in files])
    layout.refuse_others(files)


@command
def kubernetes_role(show: Console, environment: str) -> None:
    """Print the least Role that a CI job needs in ENVIRONMENT, with an account that has it: for kubectl apply."""
    from selfdeploy import deploy_toml, render

    project = deploy_toml.load()
    show.result(render.rights(project, environment).removesuffix("\n"))


namespace = Collection(
    base,
    build,
    down,
    gates,
    history,
    init,
    logs,
    manifest,
    plan,
    probe,
    promote,
    release,
    render,
    report,
    rollback,
    rollout,
    status,
    unhold,
)
_registry = Collection("registry")
_registry.add_task(registry_up, name="up")
namespace.add_collection(_registry)
_kubernetes = Collection("kubernetes")
_kubernetes.add_task(kubernetes_role, name="role")
namespace.add_collection(_kubernetes)
_vega = Collection("vega")
for _function in vega_tasks.FUNCTIONS:
    _vega.add_task(command(_function))
namespace.add_collection(_vega)


def main() -> None:
    """Run as a command of its own, for where there is no tasks.py yet: `selfdeploy init`."""
    from importlib import metadata

    Program(namespace=namespace, name="selfdeploy", binary="selfdeploy", version=metadata.version("selfdeploy")).run()
