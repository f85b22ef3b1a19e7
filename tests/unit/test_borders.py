import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = {"jinja2", "nox", "pydantic", "python_on_whales", "requests", "rich"}


def named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(module: str, *, at_start: bool) -> set[str]:
    """Return what MODULE imports: anywhere in it, or only what loads with it (AT_START)."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    whole = ast.parse(file.read_text())
    parts: list[ast.AST] = [whole]
    if at_start:
        parts = [node for node in whole.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name for part in parts for name in named(part)}


def modules() -> list[str]:
    paths = (path.relative_to(SOURCE).with_suffix("") for path in (SOURCE / "selfdeploy").rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def loaded_by(module: str) -> set[str]:
    """Return all that loads when MODULE is imported: modules of ours, and whatever they import.

    What a family's own module says of the family stays out: the folder is named when a sibling is.
    """
    known, seen, left = set(modules()), set[str](), [module]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            found = imports(name, at_start=True) if name in known else set()
            left.extend(found - {name.rpartition(".")[0]})
    return seen


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("requests", {"selfdeploy.probe", "selfdeploy.notify", "selfdeploy.registry.connections"}),
        ("subprocess", {"selfdeploy.process"}),
        ("jinja2", {"selfdeploy.render"}),
        ("nox", {"selfdeploy.sessions"}),
    ],
)
def test_a_library_stays_behind_its_border(library: str, owners: set[str]) -> None:
    users = {module for module in modules() if library in {n.split(".")[0] for n in imports(module, at_start=False)}}

    assert users == owners


def test_listing_the_commands_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in loaded_by("selfdeploy.tasks")}

    assert "invoke" in loaded
    assert loaded & HEAVY == set()


def test_imports_point_one_way() -> None:
    known = set(modules())
    families = {
        "selfdeploy",
        "selfdeploy.builders",
        "selfdeploy.contents",
        "selfdeploy.environments",
        "selfdeploy.gates",
        "selfdeploy.registry",
    }

    for module in known - families:
        users = {name for name in imports(module, at_start=True) & known - families if module in loaded_by(name)}
        assert users == set(), f"{module} and {users} import each other"


@pytest.mark.parametrize("module", ["gates.graph", "manifest", "plan", "render", "witness", "environments.record"])
def test_what_is_pure_loads_nothing_that_reaches_out(module: str) -> None:
    loaded = {name.split(".")[0] for name in loaded_by(f"selfdeploy.{module}")}

    assert loaded & {"subprocess", "socket", "requests", "python_on_whales", "http", "urllib3"} == set()
