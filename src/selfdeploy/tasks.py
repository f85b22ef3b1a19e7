"""The commands: names, flags and help; no logic."""

import functools
import signal
from collections.abc import Callable
from typing import Any

from invoke import Collection, Context, Exit, task

from selfdeploy import errors


def command(function: Callable[..., None]) -> Any:  # noqa: ANN401 -- invoke's Task is untyped
    """Make FUNCTION a task whose errors end invoke with their own exit code and no traceback."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- as FUNCTION takes them
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            function(*args, **kwargs)
        except errors.SelfdeployError as exc:
            hint = f"\nhint: {exc.hint}" if exc.hint else ""
            raise Exit(f"error: {exc.message}{hint}", exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            raise Exit("interrupted; run it again to go on", errors.Interrupted.exit_code) from exc

    return task(run)


@command
def gates(_: Context, source: str = "", fresh: bool = False) -> None:  # noqa: FBT001, FBT002 -- invoke's flags
    """Run SF's gates on its HEAD, unless they have passed."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load(source_path=source).run_gates(fresh=fresh).digest)


@command
def build(_: Context, source: str = "") -> None:
    """Build and push the image of the gated tree."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    releasing = release.load(source_path=source)
    release.ensure_registry(releasing.project)
    print(releasing.build(releasing.run_gates()).digest)


@command
def manifest(_: Context, source: str = "") -> None:
    """Write dist/sf-release-manifest.json, and its record to the registry."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    releasing = release.load(source_path=source)
    release.ensure_registry(releasing.project)
    print(releasing.artifact().manifest.release)


@command
def rollout(_: Context, environment: str, source: str = "", older: bool = False) -> None:  # noqa: FBT001, FBT002
    """Roll the release of HEAD out to ENVIRONMENT, with the proof of what comes before it."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    releasing = release.load(source_path=source)
    releasing.promote(environment, releasing.artifact(), older=older)
    print(f"{environment} runs {releasing.revision.commit}, proven")


@command
def probe(_: Context, environment: str, source: str = "") -> None:
    """Ask ENVIRONMENT which build is running, and fail unless it is the release of HEAD."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load(source_path=source).probe(environment))


@command
def plan(_: Context, source: str = "") -> None:
    """Say for each stage whether its result is there, and why; change nothing."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print("\n".join(map(str, release.load(source_path=source).plan())))


@command
def release(_: Context, source: str = "", to: str = "", fresh: bool = False, older: bool = False) -> None:  # noqa: FBT001, FBT002
    """Take HEAD of SF through gates, image and manifest to every environment, up to --to."""
    from selfdeploy import release as stages  # noqa: PLC0415 -- start-up is a feature

    releasing = stages.load(source_path=source)
    print(releasing.summary(releasing.converge(to=to, fresh=fresh, older=older), to))


@command
def rollback(_: Context, environment: str, to: str = "") -> None:
    """Put ENVIRONMENT back to what it proved before, or to a release, digest or revision of those."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load().rollback(environment, to))


@command
def unhold(_: Context, environment: str, digest: str) -> None:
    """Free DIGEST, which failed in ENVIRONMENT, to be rolled out there again."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    release.load().unhold(environment, digest)


@command
def status(_: Context) -> None:
    """Say for each environment what it runs, and what it last proved."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load().status())


@command
def history(_: Context, environment: str) -> None:
    """List the attempts on ENVIRONMENT and how each ended, as JSON lines."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load().history(environment))


@command
def logs(_: Context, environment: str, tail: int = 100) -> None:
    """Print what the replicas of ENVIRONMENT wrote last."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    print(release.load().compose(environment).logs(tail))


@command
def down(_: Context, environment: str) -> None:
    """Stop and remove ENVIRONMENT's server; its volumes and its record stay."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    release.load().compose(environment).down()


@command
def registry_up(_: Context) -> None:
    """Start the local registry."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    release.ensure_registry(release.load().project)


@command
def base(_: Context) -> None:
    """Build the base image, unless the registry has it, and print it by digest."""
    from selfdeploy import release  # noqa: PLC0415 -- start-up is a feature

    releasing = release.load()
    release.ensure_registry(releasing.project)
    print(releasing.base())


namespace = Collection(
    base, build, down, gates, history, logs, manifest, plan, probe, release, rollback, rollout, status, unhold
)
_registry = Collection("registry")
_registry.add_task(registry_up, name="up")
namespace.add_collection(_registry)
