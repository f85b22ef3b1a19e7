import os
import tomllib
from pathlib import Path

import pytest

from selfdeploy import errors, shipped
from selfdeploy.commands import scaffold
from selfdeploy.config import deploy_toml

ROOT = Path(__file__).parents[2]


def states(files: list[scaffold.File]) -> dict[str, str]:
    return {file.name: file.state for file in files}


def test_a_repository_gets_all_that_it_lacks(tmp_path: Path) -> None:
    made = scaffold.write(tmp_path)

    assert set(states(made).values()) == {"written"}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(states(made))
    for name in ("tasks.py", "noxfile.py"):
        assert len((tmp_path / name).read_text().split("\n\n")) == 2
    scaffold.refuse_others(made)


def test_its_deploy_toml_releases_the_repository_itself(tmp_path: Path) -> None:
    scaffold.write(tmp_path)

    project = deploy_toml.parse(tomllib.loads((tmp_path / "deploy.toml").read_text()), root=tmp_path)

    assert project.source_path() == tmp_path
    assert project.before("prod") == ("test",)


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    scaffold.write(tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}

    again = scaffold.write(tmp_path)

    assert set(states(again).values()) == {"there"}
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", ["tasks.py", "noxfile.py", ".forgejo/workflows/self-deploy.yml"])
def test_a_changed_file_is_left_as_it_is_and_named_and_the_others_are_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("# somebody else's\n")

    made = scaffold.write(tmp_path)
    with pytest.raises(errors.FileDiffers, match=name) as refused:
        scaffold.refuse_others(made)

    assert (tmp_path / name).read_text() == "# somebody else's\n"
    assert {state for other, state in states(made).items() if other != name} == {"written"}
    assert refused.value.exit_code == 18
    assert f"{name}" in refused.value.hint


def test_a_file_that_does_what_ours_does_and_more_serves(tmp_path: Path) -> None:
    own = '"""Ours."""\n\nfrom selfdeploy.tasks import namespace as namespace\nimport sf\n'
    (tmp_path / "tasks.py").write_text(own)
    (tmp_path / "deploy.toml").write_text("[image]\nrepository = 'registry.example.com/team/sf'\n")

    made = scaffold.write(tmp_path)

    assert states(made)["tasks.py"] == states(made)["deploy.toml"] == "yours"
    assert (tmp_path / "tasks.py").read_text() == own
    scaffold.refuse_others(made)


def test_gitignore_gains_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/dist\nnode_modules\n*.log")

    made = scaffold.write(tmp_path)
    lines = (tmp_path / ".gitignore").read_text().splitlines()

    assert states(made)[".gitignore"] == "written"
    assert lines[:3] == ["/dist", "node_modules", "*.log"]
    assert {".selfdeploy/", ".venv/", ".nox/", "__pycache__/"} < set(lines)
    assert "dist/" not in lines


def test_an_earlier_version_s_schema_is_rewritten_and_a_foreign_one_is_kept(tmp_path: Path) -> None:
    scaffold.write(tmp_path)
    path = tmp_path / "deploy.schema.json"
    ours = path.read_bytes()

    path.write_bytes(ours.replace(b"The builder", b"A builder"))
    told = [states(scaffold.write(tmp_path, dry=dry))[path.name] for dry in (True, False)]
    renewed = path.read_bytes()
    path.write_text("{}")
    theirs = states(scaffold.write(tmp_path))[path.name]

    assert told == ["to write", "written"]
    assert renewed == ours
    assert theirs == "differs"
    assert path.read_text() == "{}"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    root = tmp_path / "sf"
    root.mkdir()
    (root / "tasks.py").symlink_to(elsewhere)

    with pytest.raises(OSError, match=r"tasks\.py|elsewhere"):
        scaffold.write(root)

    assert not elsewhere.exists()


def test_what_is_in_the_way_is_named_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / ".forgejo").write_text("a file")

    with pytest.raises(OSError, match=r"\.forgejo"):
        scaffold.write(tmp_path)

    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tasks")] == []


def test_the_workflow_installs_the_version_that_wrote_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    lines = shipped.own("templates/repository/selfdeploy.txt").read_text().splitlines()

    assert lines[-1] == f"selfdeploy=={version}"
    assert f"'selfdeploy=={version}'" in lines[2]


def test_what_is_written_is_readable_to_everybody(tmp_path: Path) -> None:
    scaffold.write(tmp_path)

    assert {oct(os.stat(tmp_path / name).st_mode & 0o777) for name in scaffold.FILES} == {"0o644"}  # noqa: PTH116
