"""The commands that make ready what a release needs: files, a registry, a base image, rights; no logic."""

from pathlib import Path

from selfdeploy.console import Console


def init(show: Console) -> None:
    """Write what this repository, which holds SF, lacks to be released; what is there stays."""
    from selfdeploy import layout, source

    source.refuse_below(Path.cwd())
    files = layout.write(Path.cwd())
    show.result("\n".join(map(str, files)), [{"file": file.name, "state": file.state} for file in files])
    layout.refuse_others(files)


def registry_up(show: Console) -> None:
    """Start the local registry, unless it answers."""
    from selfdeploy import release

    releasing = release.load(show)
    releasing.ready_registry()
    show.result(releasing.project.image.repository, {"repository": releasing.project.image.repository})


def base(show: Console) -> None:
    """Build the base image, unless the registry has it, and print it by digest."""
    from selfdeploy import release

    releasing = release.load(show)
    releasing.ready_registry()
    found = releasing.assembly.images.base()
    show.result(found, {"base": found})


def kubernetes_role(show: Console, environment: str) -> None:
    """Print the least Role that a CI job needs in ENVIRONMENT, with an account that has it: for kubectl apply."""
    from selfdeploy import deploy_toml, render

    project = deploy_toml.load()
    show.result(render.rights(project, environment).removesuffix("\n"))
