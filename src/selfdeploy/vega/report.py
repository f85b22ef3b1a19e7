"""Reports on a vega server: its build, its audience, and the origin of each setting."""

from collections.abc import Mapping, Sequence

from selfdeploy import config, errors, manifest
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer
from selfdeploy.vega import bind, live
from selfdeploy.vega.container import Server
from selfdeploy.vega.engine import Engine
from selfdeploy.vega.settings import Chosen, Settings

Told = tuple[str, dict[str, object]]
"""A report as text for a person, and as data for a program."""

SHOWN = 20
"""Maximum number of changed files in the text."""


def summary(settings: Settings, made: live.Manifest, gap: float | None = None) -> Told:
    """Summarize a server with SETTINGS and MADE as its manifest; GAP is its downtime in seconds, if known."""
    lines = [_url(settings), f"revision   {revision(made)}", *_origins(settings)]
    lines += [f"no answer  {gap:.2f} s"] if gap is not None else []
    return "\n".join(lines), {**_data(settings, made), "gap": gap}


def moved(told: Told, moves: list[str]) -> Told:
    """Return TOLD with a line for each of MOVES, the unrequested changes of settings."""
    text, data = told
    return "\n".join([text, *(f"moved      {line}" for line in moves)]), {**data, "moves": moves}


def foretold(actions: Sequence[str], settings: Settings) -> Told:
    """Report the ACTIONS of a dry run, and the server's future SETTINGS."""
    told = {name: value.model_dump() for name, value in _chosen(settings).items()}
    lines = [*actions, _url(settings), *_origins(settings)]
    return "\n".join(lines), {"actions": list(actions), "url": settings.url, "settings": told, "dry": True}


def revision(made: live.Manifest) -> str:
    """Return the revision of MADE, and the number of files changed since."""
    changed = len(made.source.changed)
    return f"{made.source.revision}, " + (f"{changed} changed file{'s' * (changed > 1)}" if changed else "clean")


def status(project: config.Project, engine: Engine) -> Told:
    """Report the server on ENGINE: its build, the origin of each setting, and its answers."""
    server = engine.found()
    if server is None:
        return f"{engine.name}: nothing runs", {"state": "none"}
    how = "Compose" if server.by_compose else "docker run"
    lines = [f"server     {engine.name} ({server.container[:12]}, {how}) {server.state} since {server.since}"]
    data: dict[str, object] = {"container": server.container, "state": server.state, "since": server.since, "by": how}
    if server.settings is None:
        lines.append("settings   unknown: another version started it; inv vega.up replaces it")
        return "\n".join(lines), data
    made = _manifest(engine, server)
    lines += [_url(server.settings), *_revision(made), *_origins(server.settings)]
    try:
        submodules = project.source.submodules
        why = live.why_stale(live.read(server.settings.source.path, submodules=submodules))
    except (errors.SourceUnusable, errors.CheckoutDirty) as exc:
        why = exc.message
    lines.append(f"checkout   {why or 'is what was built'}")
    told = probe.get_all(server.settings.url, manifest.PROBES, project.probes.timeout)
    told |= _ask_inside(project, engine, made) if made else {}
    for name, answer in told.items():
        path = manifest.PROBES.get(name, name)
        lines.append(f"{path:<13} {answer.status or 'no answer:'} {answer.body.strip()[:500]}".rstrip())
    answers = {name: {"status": answer.status, "body": answer.body} for name, answer in told.items()}
    return "\n".join(lines), {**data, **_data(server.settings, made), "stale": why, "answers": answers}


def _ask_inside(project: config.Project, engine: Engine, made: live.Manifest) -> Mapping[str, Answer]:
    """Return the answers from inside the server to the extra paths of PROJECT, by path."""
    if not project.probes.extra:
        return {}
    answers = engine.ask_inside(made)
    return {path: answers.get(path, Answer(status=0, body="not asked")) for path in project.probes.extra}


def _manifest(engine: Engine, server: Server) -> live.Manifest | None:
    try:
        return engine.manifest(server)
    except (errors.CommandFailed, errors.ManifestInvalid):
        return None


def _revision(made: live.Manifest | None) -> list[str]:
    if made is None:
        return ["revision   unknown: its manifest is gone"]
    changed = made.source.changed
    lines = [f"revision   {revision(made)}, built {made.source.builtAt}"]
    lines += [f"           changed: {name}" for name in changed[:SHOWN]]
    return lines + ([f"           and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else [])


def _url(settings: Settings) -> str:
    try:
        reach = bind.reach(bind.parse(settings.bind.value), settings.port.value, settings.access_control)
    except errors.BindRefused as exc:
        reach = f"{exc.message}; {exc.hint}"
    return f"url        {settings.url}, {reach}"


def _chosen(settings: Settings) -> dict[str, Chosen]:
    names = ("source", "workspace", "workspaces", "state", "bind", "port")
    return {name: getattr(settings, name) for name in names}


def _origins(settings: Settings) -> list[str]:
    return [f"{name:<10} {value.value} ({value.origin})" for name, value in _chosen(settings).items()]


def _data(settings: Settings, made: live.Manifest | None) -> dict[str, object]:
    told = {name: value.model_dump() for name, value in _chosen(settings).items()}
    built = made.source.model_dump(mode="json") if made else None
    return {"url": settings.url, "source": built, "release": made.release if made else None, "settings": told}
