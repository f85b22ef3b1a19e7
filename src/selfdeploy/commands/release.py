"""The commands that make a release and bring it to environments, whole or a stage alone; no logic."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdeploy.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfdeploy.manifest import Manifest
    from selfdeploy.plan import Line


def gates(show: Console, source: str = "", fresh: bool = False, recorded: bool = False, dry_run: bool = False) -> None:
    """Run SF's gates on its HEAD, unless they have passed."""
    from selfdeploy.release import pipeline

    if dry_run:
        _show(show, pipeline.load(show, source_path=source).plan_up_to("gates", fresh=fresh))
        return
    with show.stage("gates"):
        gated = pipeline.load(show, source_path=source).gate(fresh=fresh, recorded=recorded)
    show.result(*gated)


def build(
    show: Console, source: str = "", image: str = "", fresh: bool = False, twice: bool = False, dry_run: bool = False
) -> None:
    """Build and push the image of the gated tree, or check one that somebody else built."""
    from selfdeploy.release import pipeline

    if dry_run:
        _show(show, pipeline.load(show, source_path=source).plan_up_to("image", fresh=fresh, foreign=image))
        return
    built = pipeline.load(show, source_path=source).build(image, fresh=fresh, twice=twice)
    show.result(built, {"image": built})


def manifest(
    show: Console,
    source: str = "",
    release: str = "",
    revision: str = "",
    image: str = "",
    fresh: bool = False,
    dry_run: bool = False,
) -> None:
    """Write dist/sf-release-manifest.json and its record in the registry; or fetch the one of another release."""
    from selfdeploy.release import pipeline as releases

    if dry_run:
        releasing = releases.load(show, source_path=source)
        if release or revision:
            found = releasing.require(release, revision).manifest
            text = f"would write {releasing.project.manifest_path}: {found.release}"
            show.result(text, {**_describe(found), "dry": True})
        else:
            _show(show, releasing.plan_up_to("manifest", fresh=fresh, foreign=image))
        return
    made = releases.load(show, source_path=source).manifest(release, revision, foreign=image, fresh=fresh).manifest
    show.result(made.release, _describe(made))


def rollout(
    show: Console,
    environment: str,
    source: str = "",
    release: str = "",
    revision: str = "",
    older: bool = False,
    wait: str = "",
    dry_run: bool = False,
) -> None:
    """Roll the release out to ENVIRONMENT, the first one; what comes after another takes inv promote."""
    from selfdeploy.release import pipeline as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    wanted = releasing.require(release, revision)
    if dry_run:
        _show(show, releasing.foretell(environment, wanted, older=older, promoting=False))
        return
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
    dry_run: bool = False,
) -> None:
    """Roll the release out to ENVIRONMENT, with the proof, made now, of every environment before it."""
    from selfdeploy.release import pipeline as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    wanted = releasing.require(release, revision)
    if dry_run:
        _show(show, releasing.foretell(environment, wanted, older=older, promoting=True))
        return
    releasing.rollout(environment, wanted, older=older, promoting=True)
    show.result(*releasing.summary([environment], wanted))


def probe(
    show: Console, environment: str, source: str = "", release: str = "", revision: str = "", proven: bool = False
) -> None:
    """Ask ENVIRONMENT which build is running, and fail unless it is the release, or what it last proved."""
    from selfdeploy.release import pipeline as releases

    if proven:
        from selfdeploy.config import deploy_toml
        from selfdeploy.release import upkeep

        with show.stage(environment):
            found = upkeep.probe(deploy_toml.load(), environment)
        told = found.model_dump(exclude={"manifest", "rendered", "envelope"})
        show.result(f"{environment} runs {found.revision} ({found.digest}), proven at {found.at}, and now", told)
        return

    releasing = releases.load(show, source_path=source)
    show.result(*releasing.probe(environment, release, revision))


def bundle(show: Console, release: str = "", revision: str = "", output: str = "", dry_run: bool = False) -> None:
    """Write the release to one file, with its signatures: to verify it where no registry is in reach."""
    from selfdeploy.release import pipeline

    show.result(*pipeline.load(show).pack(output, release, revision, dry=dry_run))


def verify(show: Console, release: str = "", revision: str = "", bundle: str | None = None) -> None:
    """Check the signatures of the release, and name the keys that signed it."""
    from selfdeploy.release import pipeline

    show.result(*pipeline.load(show).verify(release, revision, bundle))


def sbom(show: Console, source: str = "", output: str = "") -> None:
    """Print the SBOM of HEAD's release (CycloneDX): the npm and Debian packages in the image."""
    from selfdeploy import tree
    from selfdeploy.build import bom
    from selfdeploy.release import pipeline

    made = pipeline.load(show, source_path=source).sbom()
    text = bom.encode(made)
    if output:
        tree.write_whole(Path(output), text)
        show.did(output)
    show.result(f"{output}: {bom.count(made)}" if output else text.decode().rstrip("\n"), {"sbom": made})


def plan(show: Console, source: str = "", exit_code: bool = False) -> int:
    """Say for each stage whether it is done, to do or blocked, and which commits would come; change nothing."""
    from selfdeploy import plan as planning
    from selfdeploy.release import pipeline

    lines = pipeline.load(show, source_path=source).plan()
    _show(show, lines)
    return planning.exit_code(lines) if exit_code else 0


def release(
    show: Console,
    source: str = "",
    to: str = "",
    fresh: bool = False,
    image: str = "",
    older: bool = False,
    wait: str = "",
    dry_run: bool = False,
) -> None:
    """Take HEAD of SF through gates, image and manifest to every environment, up to --to."""
    from selfdeploy.release import pipeline as releases

    releasing = releases.load(show, source_path=source, wait=wait)
    if dry_run:
        _show(show, releasing.plan(releasing.names(to), fresh=fresh, foreign=image, older=older))
        return
    released = releasing.converge(to=to, fresh=fresh, foreign=image, older=older)
    show.result(*releasing.summary(releasing.names(to), released))


def render(
    show: Console,
    environment: str,
    output: str,
    source: str = "",
    release: str = "",
    revision: str = "",
    dry_run: bool = False,
) -> None:
    """Write the files that run the release in ENVIRONMENT to the folder OUTPUT, for who applies them by other means."""
    from selfdeploy.release import pipeline as releases

    releasing = releases.load(show, source_path=source)
    written = releasing.render(environment, None if dry_run else Path(output), release, revision)
    if not dry_run:
        show.did(output)
    show.result("\n".join(written), {"folder": output, "files": written, "dry": dry_run})


def report(show: Console, source: str = "", html: str = "", markdown: bool = False) -> None:
    """Say which release this is, and what answers in every environment and for how long; as a page with --html."""
    from selfdeploy import tree
    from selfdeploy.release import page
    from selfdeploy.release import pipeline as releases

    releasing = releases.load(show, source_path=source)
    told = releasing.report()
    text = str(told)
    if html or markdown:
        made = page.make(releasing.assembly, told)
        if html:
            tree.write_whole(Path(html), made.html().encode())
            show.did(html)
        text = made.markdown() if markdown else text
    show.result(text, told.as_data())


def _describe(made: "Manifest") -> dict[str, object]:
    return {"release": made.release, "image": made.image.reference, "redefined": list(made.redefined)}


def _show(show: Console, lines: "Sequence[Line]") -> None:
    show.result("\n".join(map(str, lines)), [line.as_data() for line in lines])


FUNCTIONS = (gates, build, manifest, rollout, promote, probe, plan, release, render, report, verify, bundle, sbom)
