import shutil
from pathlib import Path

import pytest
import yaml

from lab.values import CHILD, a_manifest, a_namespace, a_project, an_environment
from selfdeploy import errors, manifest, render
from selfdeploy.render import bundle


def the_files(made: manifest.Manifest | None = None) -> dict[str, bytes]:
    return bundle.files(a_project(environments={"test": a_namespace(replicas=2)}), "test", made or a_manifest())


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "here" / "prod"


def test_the_files_are_the_objects_one_each() -> None:
    project = a_project(environments={"test": a_namespace(replicas=2)})

    files = bundle.files(project, "test", a_manifest())

    objects = list(yaml.safe_load_all(render.kubernetes(project, "test", a_manifest())))
    assert [yaml.safe_load(data) for data in files.values()] == objects
    assert "deployment.yml" in files


def test_a_compose_environment_is_its_file_and_the_manifest_that_its_volume_wants() -> None:
    project = a_project(environments={"test": an_environment(4101)})

    files = bundle.files(project, "test", a_manifest())

    assert files.pop("sf-release-manifest.json") == a_manifest().bytes
    assert {name: yaml.safe_load(data) for name, data in files.items()} == {
        "compose.yml": yaml.safe_load(render.compose(project, "test", a_manifest()))
    }


def test_a_folder_is_made_and_filled(folder: Path) -> None:
    bundle.write(folder, the_files())

    assert read(folder) == the_files()
    assert [path.name for path in folder.parent.iterdir()] == ["prod"]


def test_the_next_release_takes_the_place_of_the_last_and_leaves_nothing_of_it(folder: Path) -> None:
    project = a_project(environments={"test": an_environment(4101)})
    bundle.write(folder, bundle.files(project, "test", a_manifest()))
    made = a_manifest(image=a_manifest().image.model_copy(update={"digest": CHILD}))

    bundle.write(folder, the_files(made))

    assert read(folder) == the_files(made)
    assert [path.name for path in folder.parent.iterdir()] == ["prod"]


def test_a_link_to_a_folder_stays_a_link(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)

    bundle.write(tmp_path / "link", the_files())

    assert (tmp_path / "link").is_symlink()
    assert read(folder) == the_files()


@pytest.mark.parametrize("name", ["kustomization.yaml", "deployment.yml", "sf-release-manifest.json"])
def test_what_somebody_else_wrote_stays_and_nothing_is_written(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"mine")

    with pytest.raises(errors.FolderForeign, match=name):
        bundle.write(folder, the_files())

    assert read(folder) == {name: b"mine"}


def test_what_somebody_changed_since_stays_and_nothing_is_written(folder: Path) -> None:
    bundle.write(folder, the_files())
    with (folder / "service.yml").open("ab") as file:
        file.write(b"# mine\n")
    before = read(folder)

    with pytest.raises(errors.FolderForeign, match=r"service\.yml"):
        bundle.write(folder, the_files(a_manifest(probes={"healthz": "/h", "ready": "/r", "version": "/v"})))

    assert read(folder) == before


def test_a_folder_in_it_is_foreign(folder: Path) -> None:
    bundle.write(folder, the_files())
    (folder / "more").mkdir()

    with pytest.raises(errors.FolderForeign, match="more"):
        bundle.write(folder, the_files())


def test_the_folder_one_stands_in_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    for folder in (Path(), Path(".."), tmp_path):
        with pytest.raises(errors.FileUnusable):
            bundle.write(folder, the_files())

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_whole_leaves_what_was_there(folder: Path) -> None:
    bundle.write(folder, the_files())

    with pytest.raises(FileNotFoundError):
        bundle.write(folder, {"a.yml": b"new", "no/such/folder.yml": b"new"})

    assert read(folder) == the_files()
    assert [path.name for path in folder.parent.iterdir()] == ["prod"]


def test_what_a_run_left_that_was_killed_half_way_is_not_in_the_way(folder: Path) -> None:
    bundle.write(folder, the_files())
    shutil.copytree(folder, folder.with_name(".prod.selfdeploy-new"))
    folder.rename(folder.with_name(".prod.selfdeploy-old"))

    bundle.write(folder, the_files())

    assert read(folder) == the_files()
    assert [path.name for path in folder.parent.iterdir()] == ["prod"]
