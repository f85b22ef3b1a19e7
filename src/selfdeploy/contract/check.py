"""The checks of `inv contract`, and the command's result from their findings."""

import shutil
from pathlib import Path

from selfdeploy import config, errors, source
from selfdeploy.config import deploy_toml
from selfdeploy.console import Console
from selfdeploy.contract import server, start, tracked
from selfdeploy.contract import source as checkout
from selfdeploy.contract.clauses import PAGE, STATES, Finding
from selfdeploy.gates import receipt
from selfdeploy.shipped import guide


def refuse_unused(url: str, **flags: str) -> None:
    """Raise `errors.ConfigInvalid` if one of FLAGS, for the check of a running server, is given without URL."""
    if given := [name for name, value in flags.items() if value and not url]:
        raise errors.ConfigInvalid(f"--{given[0]}: nothing to compare it with", "pass --url as well")


def load(source_path: str) -> config.Project:
    """Return the project of this folder with SOURCE_PATH as SF's checkout; the defaults if there is no deploy.toml."""
    try:
        deploy_toml.find(Path.cwd())
    except errors.ConfigInvalid:
        project = config.Project(root=Path.cwd())
        path = str(config.place(source_path or ".", "--source").absolute())
        return project.model_copy(update={"source": project.source.model_copy(update={"path": path})})
    return deploy_toml.load(source=source_path or None)


def source_clauses(show: Console, project: config.Project) -> list[Finding]:
    """Check SF's checkout; return a finding for each clause of the source."""
    revision = source.read(project.source_path(), project.source.repository, project.source.submodules)
    show.note(f"source {revision.commit} of {revision.checkout}")
    try:
        source.refuse_dirty(revision)
    except errors.CheckoutDirty:
        show.note("uncommitted changes are not part of the check: git status lists them")
    return checkout.check(tracked.read(revision), project)


def url_clauses(show: Console, project: config.Project, url: str, revision: str, manifest: str) -> list[Finding]:
    """Check the server at URL; return a finding for each clause of the probes."""
    show.note(f"asking {url.rpartition('@')[2]}")
    return server.check(url, project, revision=revision, file=manifest)


def start_clauses(show: Console, project: config.Project) -> list[Finding]:
    """Start the staged tree of SF's HEAD; return a finding for each clause of the probes and the process.

    Raises:
        errors.GatesIncomplete, errors.TreeChanged: HEAD does not have a staged tree, or the tree has changed.
        errors.ToolMissing: node is not found.
    """
    revision = source.read(project.source_path(), project.source.repository, project.source.submodules)
    gated = receipt.require(project, revision)
    node = find_node(project)
    show.note(f"starting {revision.commit} with {node}")
    return start.check(node, gated.ship, revision.commit, project.work, project)


def find_node(project: config.Project) -> Path:
    """Return the path of the gates' own node, else of the one on PATH.

    Raises:
        errors.ToolMissing: node is not found.
    """
    installed = project.root / ".nox" / "gates" / "programs" / "node"
    found = str(installed) if installed.is_file() else shutil.which("node")
    if not found:
        raise errors.ToolMissing("node: not found", "run inv gates, which installs the pinned one")
    return Path(found).absolute()


def conclude(show: Console, findings: list[Finding]) -> None:
    """Show FINDINGS, one line per clause, and a summary.

    Raises:
        errors.ContractBroken: a clause is broken.
    """
    states = [finding.state for finding in findings]
    counts = {state.replace(" ", "_"): states.count(state) for state in STATES}
    summary = ", ".join(f"{states.count(state)} {state}" for state in STATES)
    text = "\n".join([*(finding.text for finding in findings), summary])
    show.result(guide.fit(text), {"clauses": [finding.data for finding in findings], **counts})
    broken = [f"{finding.clause.number} {finding.clause.name}" for finding in findings if finding.state == "broken"]
    if broken:
        raise errors.ContractBroken(f"the contract: broken: {', '.join(broken)}", f"{PAGE} says what each clause asks")
