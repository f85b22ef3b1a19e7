"""What has to hold after a release was killed, and after the next one: each check returns what does not."""

import contextlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from chaos.world import World
from lab import children
from lab.site import Done, Site
from lab.values import a_project
from selfdeploy import errors, manifest
from selfdeploy.environments import chain, record

AT_ONCE = 5.0
"""Seconds within which all processes of a release that was killed are gone."""

ASKED = 5
"""How often a status is asked for at most that is told of replicas which come and go meanwhile."""


def no_process(site: Site, seconds: float = AT_ONCE) -> list[str]:
    """No process of SITE is left after SECONDS."""
    try:
        children.wait_until(lambda: not site.processes(), "the end of all processes", seconds=seconds)
    except children.LabError:
        return [f"still running after {seconds:g} s: {line[:200]}" for line in site.processes()]
    return []


def whole_files(site: Site) -> list[str]:
    """Every file that the tool reads of SITE is whole, or not there."""
    wrong = []
    work = site.folder / ".selfdeploy"
    for path in [*work.glob("trees/*/*.json"), *work.glob("evidence/*.json"), *work.glob("rendered/*/*.yml")]:
        try:
            told = yaml.safe_load(path.read_bytes())
        except (ValueError, yaml.YAMLError) as exc:
            wrong.append(f"{path}: not whole: {exc}")
            continue
        if not isinstance(told, dict):
            wrong.append(f"{path}: not whole: {told!r:.80}")
    path = site.folder / "dist" / "sf-release-manifest.json"
    try:
        manifest.parse(path.read_bytes())
    except FileNotFoundError:
        pass
    except errors.ManifestInvalid as exc:
        wrong.append(f"{path}: not whole: {exc.message}")
    return wrong


def whole_release(world: World, revision: str) -> list[str]:
    """What the registry has on record of REVISION is there: the image before the record that names it."""
    status, data = world.ask(f"manifests/{revision}")
    if status != HTTPStatus.OK:
        return []
    image = json.loads(data)["subject"]["digest"]
    found, data = world.ask(f"manifests/{image}")
    parts = [json.loads(data)["config"], *json.loads(data)["layers"]] if found == HTTPStatus.OK else []
    gone = [part["digest"] for part in parts if world.ask(f"blobs/{part['digest']}")[0] != HTTPStatus.OK]
    gone += [] if parts else [image]
    return [f"{revision} is on record, and the registry has not got {', '.join(gone)}"] if gone else []


def is_on_record(world: World, revision: str) -> bool:
    """Say whether the registry has a record of REVISION."""
    return world.ask(f"manifests/{revision}")[0] == HTTPStatus.OK


def spoken(done: Done) -> list[str]:
    """What a command said in DONE is for people."""
    return [f"a traceback: {done.stderr[-2000:]}"] if "Traceback" in done.stderr + done.stdout else []


def _result(done: Done) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found: list[dict[str, Any]] = next((event["items"] for event in events if event["event"] == "result"), [])
    return found


def answers(site: Site, environment: str) -> dict[str, str]:
    """Return which build ENVIRONMENT of SITE says it is; empty when it does not answer."""
    try:
        return site.version(environment)
    except (OSError, ValueError, children.LabError):
        return {}


def true_status(world: World) -> list[str]:
    """`inv status` says what the engine, the servers and the records say.

    A cluster goes on with a rollout without the release that began it: what changed while it was told is asked again.
    """
    for _ in range(ASKED):
        before = world.states("test"), world.states("prod")
        wrong = _true_status(world)
        if not wrong or before == (world.states("test"), world.states("prod")):
            break
    return wrong


def _true_status(world: World) -> list[str]:
    site = world.site
    held = {name: world.is_held(name) for name in ("test", "prod")}
    done = site.inv("status", "--json")
    wrong = spoken(done)
    told = {status["name"]: status for status in _result(done)}
    if done.returncode or set(told) != {"test", "prod"}:
        return [*wrong, f"inv status: exit code {done.returncode}: {done.stdout} {done.stderr}"]
    for name, status in told.items():
        states, known = world.states(name), world.record(name)
        if status["error"]:
            wrong.append(f"inv status: {name}: {status['error']}")
        # One that is on its way out may still serve, and then is told of; by now it may be gone.
        listed = {one["name"]: one["state"] for one in status["replicas"] if one["state"] != "terminating"}
        if listed != states:
            wrong.append(f"inv status: {name}: {status['replicas']}, and the runtime says {states}")
        first: Any = (known.get("proven") or [{}])[0]
        if known and (status["proven"] or {}).get("release") != first.get("release"):
            wrong.append(f"inv status: {name}: proven {status['proven']}, and the record says {first}")
        last: Any = (known.get("attempts") or [{}])[0]
        # What a holder is told of still makes is none that was cut off.
        cut = last.get("release") if last.get("ending") == "under way" and not status["holder"] else None
        if known and (status["cutOff"] or {}).get("release") != cut:
            wrong.append(f"inv status: {name}: cut off {status['cutOff']}, and the record says {last}")
        history = record.parse(json.dumps(known).encode(), name)
        wrong += [f"inv history: {name}: {fault}" for fault in chain.verify(a_project(), name, history).faults]
        if status["holder"] and not held[name]:
            wrong.append(f"inv status: {name}: held by {status['holder']}, and nobody holds it")
    return wrong


def true_plan(world: World, revision: str) -> list[str]:
    """`inv plan` finds what is there, and nothing else."""
    done = world.site.inv("plan", "--json")
    wrong = spoken(done)
    told = {line["stage"]: line["found"] for line in _result(done)}
    if done.returncode or not told:
        return [*wrong, f"inv plan: exit code {done.returncode}: {done.stderr}"]
    recorded = is_on_record(world, revision)
    if told["manifest"] != recorded or (recorded and not (told["gates"] and told["image"])):
        wrong.append(f"inv plan: {told}, and the registry has {'a' if recorded else 'no'} record of {revision}")
    for name in ("test", "prod"):
        said = answers(world.site, name)
        runs = recorded and said.get("image", "").startswith(f"{world.site.repository}@")
        if told[name] and not (runs and said.get("revision") == revision):
            wrong.append(f"inv plan: {name}: found, and it answers {said}")
    return wrong


def proven(world: World, revision: str) -> list[str]:
    """Both environments run REVISION, of the repository at hand, and the record says that it is proven."""
    wrong = []
    for name in ("test", "prod"):
        said = answers(world.site, name)
        if said.get("revision") != revision or not said.get("image", "").startswith(f"{world.site.repository}@"):
            wrong.append(f"{name}: expected {revision} of {world.site.repository}, actual {said}")
        known = world.record(name)
        first, last = ((known.get(what) or [{}])[0] for what in ("proven", "attempts"))
        if first.get("revision") != revision or last.get("ending") != "proven":
            wrong.append(f"{name}: the record says {last}")
    told = _result(world.site.inv("plan", "--json"))
    return wrong + [f"inv plan: {line['stage']}: {line['why']}, and it is done" for line in told if not line["found"]]


def prod_was_safe(world: World) -> list[str]:
    """Prod never ran what test had not proven, nor the bad revision, as the runtime tells and as it answers.

    One that was killed between the end of the old container and the start of the new one leaves none that runs.
    """
    wrong = world.unproven()
    good = (world.revisions["one"], world.revisions["two"])
    with contextlib.suppress(children.LabError):  # it may just be starting
        children.wait_until(lambda: bool(answers(world.site, "prod")) or not _runs(world), "prod", seconds=30)
    said = answers(world.site, "prod")
    if (said or _runs(world)) and said.get("revision") not in good:
        wrong.append(f"prod answers {said}")
    return wrong


def _runs(world: World) -> bool:
    return "running" in world.states("prod").values()


def nothing_left(world: World, folder: Path) -> list[str]:
    """No process, container, volume or export folder is left over of what is done, the last of it from FOLDER.

    The scratch of one that was killed goes with the next release from the same folder.
    """
    wrong = no_process(world.site) + world.left()
    for one in {world.site.folder, folder}:
        work = one / ".selfdeploy"
        left = [*work.glob("trees/*/sf"), *work.glob("trees/*/index-*"), *work.rglob(".*.[0-9]*")]
        left += work.glob("*-[0-9]*-*") if one == folder else ()
        wrong += [f"a working file is left: {path}" for path in left if "node_modules" not in path.parts]
    return wrong
