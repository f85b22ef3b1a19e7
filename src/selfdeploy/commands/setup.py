"""The commands that make ready what a release needs: files, a registry, a base image, rights; no logic."""

from pathlib import Path

from selfdeploy.console import Console


def init(show: Console, dry_run: bool = False) -> None:
    """Write what this repository, which holds SF, lacks to be released; what is there stays."""
    from selfdeploy import source
    from selfdeploy.commands import scaffold

    source.refuse_below(Path.cwd())
    files = scaffold.write(Path.cwd(), dry=dry_run)
    for file in files:
        if file.state == "written":
            show.did(file.name)
    show.result("\n".join(map(str, files)), [{"file": file.name, "state": file.state} for file in files])
    scaffold.refuse_others(files)


def contract(
    show: Console, source: str = "", url: str = "", revision: str = "", manifest: str = "", start: bool = False
) -> None:
    """Check, clause by clause, that SF keeps its side of the contract: a checkout, the server at URL, a start."""
    from selfdeploy.contract import check

    check.refuse_unused(url, revision=revision, manifest=manifest)
    project = check.load(source)
    findings = check.url_clauses(show, project, url, revision, manifest) if url else []
    findings += check.start_clauses(show, project) if start else []
    findings += check.source_clauses(show, project) if not start and (source or not url) else []
    check.conclude(show, findings)


def registry_up(show: Console, dry_run: bool = False) -> None:
    """Start the local registry, unless it answers."""
    from selfdeploy.release import pipeline

    releasing = pipeline.load(show)
    if dry_run:
        show.result(*releasing.foretell_registry())
        return
    releasing.ready_registry()
    show.result(releasing.project.image.repository, {"repository": releasing.project.image.repository})


def base(show: Console, dry_run: bool = False) -> None:
    """Build the base image, unless the registry has it, and print it by digest."""
    from selfdeploy.release import pipeline

    releasing = pipeline.load(show)
    if dry_run:
        show.result(*releasing.foretell_base())
        return
    found = releasing.base()
    show.result(found, {"base": found})


def keys_new(show: Console, output: str = "keys/release", dry_run: bool = False) -> None:
    """Make a pair of keys: one that signs releases, and one that verifies them."""
    import os

    from selfdeploy.trust import keys

    made = keys.names(Path(output))
    if not dry_run:
        keys.make(Path(output), os.environ.get(keys.PASSWORD, ""))
        show.did("keys")
    lines = [
        f"{'would write' if dry_run else 'private'}  {made[0]}",
        f"{'would write' if dry_run else 'public '}  {made[1]}",
    ]
    lines += [
        ""
        if dry_run
        else f"next     trust.keys = [{str(made[1])!r}] in deploy.toml; {keys.FILE}={made[0]} where you release"
    ]
    show.result("\n".join(filter(None, lines)), {"private": str(made[0]), "public": str(made[1]), "dry": dry_run})


def kubernetes_role(show: Console, environment: str) -> None:
    """Print the least Role that a CI job needs in ENVIRONMENT, with an account that has it: for kubectl apply."""
    from selfdeploy import render
    from selfdeploy.config import deploy_toml

    project = deploy_toml.load()
    show.result(render.rights(project, environment).removesuffix("\n"))


def doctor(show: Console) -> int:
    """Look at what a release needs of this machine and of each environment, and say what is missing."""
    from selfdeploy.config import deploy_toml
    from selfdeploy.release import doctor as examination

    found = list(examination.look(deploy_toml.load()))
    show.result("\n".join(map(str, found)), [finding.as_data() for finding in found], examination.COLOURS)
    return examination.exit_code(found)


def config(show: Console, schema: bool = False) -> None:
    """Print the values that deploy.toml comes to, and where each came from; or the JSON Schema of deploy.toml."""
    import json

    from selfdeploy.config import deploy_toml, effective

    if schema:
        show.result(json.dumps(effective.schema(), indent=2, sort_keys=True), effective.schema())
        return
    found = effective.settings(deploy_toml.load())
    show.result("\n".join(map(str, found)), [setting.as_data() for setting in found])


FUNCTIONS = (base, config, contract, doctor, init)
"""Those of them that have no group of their own."""
