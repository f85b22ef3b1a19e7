"""The commands that make a release and bring it to environments, whole or a stage alone; no logic."""

from pathlib import Path

from selfdeploy.console import Console


def gates(show: Console, source: str = "", fresh: bool = False, recorded: bool = False) -> None:
    """Run SF's gates on its HEAD, unless they have passed."""
    from selfdeploy import release

    with show.stage("gates"):
        gated = release.load(show, source_path=source).gate(fresh=fresh, recorded=recorded)
    show.result(*gated)


def build(show: Console, source: str = "", image: str = "", fresh: bool = False, twice: bool = False) -> None:
    """Build and push the image of the gated tree, or check one that somebody else built."""
    from selfdeploy import release

    built = release.load(show, source_path=source).build(image, fresh=fresh, twice=twice)
    show.result(built, {"image": built})


def manifest(
    show: Console, source: str = "", release: str = "", revision: str = "", image: str = "", fresh: bool = False
) -> None:
    """Write dist/sf-release-manifest.json and its record in the registry; or fetch the one of another release."""
    from selfdeploy import release as releases

    made = releases.load(show, source_path=source).manifest(release, revision, foreign=image, fresh=fresh).manifest
    told = {"release": made.release, "image": made.image.reference, "redefined": list(made.redefined)}
    show.result(made.release, told)


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


def probe(show: Console, environment: str, source: str = "", release: str = "", revision: str = "") -> None:
    """Ask ENVIRONMENT which build is running, and fail unless it is the release."""
    from selfdeploy import release as releases

    releasing = releases.load(show, source_path=source)
    show.result(*releasing.probe(environment, release, revision))


def plan(show: Console, source: str = "") -> None:
    """Say for each stage whether its result is there, and why; change nothing."""
    from selfdeploy import release

    lines = release.load(show, source_path=source).plan()
    show.result("\n".join(map(str, lines)), [vars(line) for line in lines])


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


def render(
    show: Console, environment: str, output: str, source: str = "", release: str = "", revision: str = ""
) -> None:
    """Write the files that run the release in ENVIRONMENT to the folder OUTPUT, for who applies them by other means."""
    from selfdeploy import release as releases

    written = releases.load(show, source_path=source).render(environment, Path(output), release, revision)
    show.result("\n".join(written), {"folder": output, "files": written})


def report(show: Console, source: str = "") -> None:
    """Say which release this is, and what answers in every environment and for how long; changes nothing."""
    from selfdeploy import release

    told = release.load(show, source_path=source).report()
    show.result(str(told), told.as_data())


FUNCTIONS = (gates, build, manifest, rollout, promote, probe, plan, release, render, report)
