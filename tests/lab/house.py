"""The rooms of the house, their floors, and imports that run up: `python -m lab.house` prints them, and fails on any.

A room is a module in the root of the package or a folder there. It may import the rooms of lower floors only.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = "selfdeploy"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("ages", "errors", "interrupts", "net", "tree"),
    ("config", "console", "manifest", "plan", "process", "provenance", "shipped"),
    ("cluster", "contents", "probes", "registry", "render", "source", "trust"),
    ("engine", "gates"),
    ("build", "contract"),
    ("environments",),
    ("rollout", "vega"),
    ("release",),
    ("commands",),
    ("sessions", "tasks"),
)
"""The rooms, the ground floor first. Add a floor only with a decision that says why (docs/decisions/0011)."""

IN_ROOT = 12
"""Modules in the root of the package, at most."""


def modules() -> list[str]:
    """Return the dotted names of all modules; a package has its own name."""
    paths = (path.relative_to(SOURCE).with_suffix("") for path in (SOURCE / PACKAGE).rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def imports(module: str, *, at_start: bool) -> set[str]:
    """Return the imports of MODULE: all of them, or only those that load with it (AT_START)."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    whole = ast.parse(file.read_text())
    parts: list[ast.AST] = [whole]
    if at_start:
        parts = [node for node in whole.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name for part in parts for name in _named(part)}


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """Return the room of MODULE; empty for the package itself."""
    return module.split(".")[1] if module.startswith(f"{PACKAGE}.") else ""


def arrows() -> set[tuple[str, str]]:
    """Return each pair of rooms of which the first imports the second, anywhere in it."""
    rooms = {room(module) for module in modules()}
    pairs = {
        (room(module), room(name))
        for module in modules()
        for name in imports(module, at_start=False)
        if room(name) in rooms
    }
    return {(user, used) for user, used in pairs if user != used and user and used}


def cycles() -> list[set[str]]:
    """Return the modules that load each other, a set a cycle; packages' own modules count as their parts do."""
    known = set(modules())
    users = {module: imports(module, at_start=True) & known - {module, module.rpartition(".")[0]} for module in known}
    reach: dict[str, set[str]] = {}
    for module in known:
        seen, left = set[str](), [module]
        while left:
            new = users[left.pop()] - seen
            seen |= new
            left.extend(new)
        reach[module] = seen
    looped = [module for module in known if module in reach[module]]
    found = [{other for other in reach[module] if module in reach[other]} for module in looped]
    return [cycle for number, cycle in enumerate(found) if cycle not in found[:number]]


def wrong() -> list[str]:
    """Return a line for each fault of the house."""
    place = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    rooms = {room(module) for module in modules()} - {""}
    root = [path.stem for path in (SOURCE / PACKAGE).glob("*.py")]
    lines = [f"{name}: a room on no floor: name it in FLOORS" for name in sorted(rooms - set(place))]
    lines += [f"{name}: on a floor, and no room" for name in sorted(set(place) - rooms)]
    lines += [
        f"{user} imports {used}, which is not on a lower floor"
        for user, used in sorted(arrows())
        if place.get(user, 0) <= place.get(used, -1)
    ]
    lines += [f"import each other: {', '.join(sorted(cycle))}" for cycle in cycles()]
    if len(root) > IN_ROOT:
        lines.append(f"{len(root)} modules in the root, at most {IN_ROOT}")
    return lines


def main() -> int:
    """Print the floors from the top down and the figures; return 1 if anything is wrong."""
    used = arrows()
    for number in range(len(FLOORS), 0, -1):
        for name in FLOORS[number - 1]:
            below = sorted(other for user, other in used if user == name)
            print(f"{number:>2}  {name:<13} {' '.join(below)}")
    faults = wrong()
    in_root = len(list((SOURCE / PACKAGE).glob("*.py")))
    print(f"{len(modules())} modules, {in_root} in the root; {len(FLOORS)} floors, {len(used)} arrows")
    print("\n".join(faults) or "no import runs up, no cycle")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
