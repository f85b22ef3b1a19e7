from pathlib import Path

import pytest

from lab.values import a_manifest
from selfdeploy import config, render, shipped


def a_project(root: Path) -> config.Project:
    return config.Project(root=root)


def test_what_the_project_lacks_comes_from_us(tmp_path: Path) -> None:
    found = shipped.find(a_project(tmp_path), "docker/Dockerfile.sf-server")

    assert "ENTRYPOINT" in found.read_text()


def test_the_project_s_own_file_wins_and_its_neighbours_still_come_from_us(tmp_path: Path) -> None:
    own = tmp_path / "docker" / "Dockerfile.sf-server"
    own.parent.mkdir()
    own.write_text("FROM own\n")

    project = a_project(tmp_path)

    assert shipped.find(project, "docker/Dockerfile.sf-server") == own
    assert shipped.find(project, "docker/Dockerfile.base").parent != own.parent


def test_a_templates_folder_that_has_nothing_to_do_with_us_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mail.html").write_text("{{ name }}")

    assert render.compose(a_project(tmp_path), "prod", a_manifest()) == render.compose(
        config.Project(), "prod", a_manifest()
    )


def test_a_folder_of_a_file_s_name_is_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "docker" / "Dockerfile.base").mkdir(parents=True)

    assert shipped.find(a_project(tmp_path), "docker/Dockerfile.base").is_file()


def test_a_file_that_nobody_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-of-the-kind"):
        shipped.find(a_project(tmp_path), "nothing-of-the-kind")
