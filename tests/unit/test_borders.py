import pytest

from lab import house
from lab.house import imports, modules

HEAVY = {
    *("cryptography", "jinja2", "nacl", "nox", "pydantic", "python_on_whales", "requests", "rich", "securesystemslib"),
}


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
        ("requests", {"selfdeploy.probes.probe", "selfdeploy.rollout.notify", "selfdeploy.registry.connections"}),
        ("subprocess", {"selfdeploy.process"}),
        ("jinja2", {"selfdeploy.render"}),
        ("nox", {"selfdeploy.sessions"}),
        ("cryptography", {"selfdeploy.trust.keys"}),
        ("nacl", {"selfdeploy.trust.keys"}),
        ("securesystemslib", {"selfdeploy.trust.envelope", "selfdeploy.trust.keys"}),
    ],
)
def test_a_library_stays_behind_its_border(library: str, owners: set[str]) -> None:
    users = {module for module in modules() if library in {n.split(".")[0] for n in imports(module, at_start=False)}}

    assert users == owners


def test_listing_the_commands_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in loaded_by("selfdeploy.tasks")}

    assert "invoke" in loaded
    assert loaded & HEAVY == set()


def test_imports_run_down_and_never_in_a_circle() -> None:
    assert house.wrong() == []


def test_an_import_that_runs_up_and_a_root_that_grows_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "FLOORS", (("tasks",), *house.FLOORS[1:-1], ("sessions",)))
    monkeypatch.setattr(house, "IN_ROOT", 3)

    wrong = house.wrong()

    assert "tasks imports commands, which is not on a lower floor" in wrong
    assert "errors: a room on no floor: name it in FLOORS" in wrong
    assert any(line.endswith("modules in the root, at most 3") for line in wrong)


PURE = ("gates.graph", "manifest", "plan", "render", "probes.witness", "environments.record")


@pytest.mark.parametrize("module", PURE)
def test_what_is_pure_loads_nothing_that_reaches_out(module: str) -> None:
    loaded = {name.split(".")[0] for name in loaded_by(f"selfdeploy.{module}")}

    assert loaded & {"subprocess", "socket", "requests", "python_on_whales", "http", "urllib3"} == set()
