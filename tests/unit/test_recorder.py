import json
from pathlib import Path

import pytest

from selfdeploy.gates import headers, recorder

REPORT = {"numTotalTests": 3, "numPassedTests": 3, "success": True, "testResults": []}


def test_a_gate_s_node_programs_load_the_recorder_before_the_gate_s_options() -> None:
    environment = recorder.environment({"NODE_OPTIONS": "--no-warnings", "A": "1"}, Path("/logs/g.tests"))

    assert environment["NODE_OPTIONS"] == f'--require "{recorder.PRELOAD}" --no-warnings'
    assert environment["SELFDEPLOY_NODE_OPTIONS"] == "--no-warnings"
    assert environment["SELFDEPLOY_TESTS"] == "/logs/g.tests"
    assert environment["A"] == "1"
    assert recorder.PRELOAD.is_file()


def test_what_the_runners_left_is_read_line_by_line(tmp_path: Path) -> None:
    records = tmp_path / "g.tests"
    records.write_text('{"runner": "jest"}\n{"runner"\n7\n{"runner": "node", "passed": 3}\n')

    assert recorder.read(records, "", tmp_path) == [{"runner": "jest"}, {"runner": "node", "passed": 3}]
    assert recorder.read(tmp_path / "none", "", tmp_path) == []


@pytest.mark.parametrize("line", ["JSON report written to {}", "\x1b[2mTest results written to: {}\x1b[22m"])
def test_a_json_report_that_the_log_names_is_read_and_only_its_numbers_kept(tmp_path: Path, line: str) -> None:
    (tmp_path / "out.json").write_text(json.dumps(REPORT))

    for name in ("out.json", tmp_path / "out.json"):
        output = f"{line.format(name)}\n{line.format(name)}\n"

        assert recorder.read(tmp_path / "none", output, tmp_path) == [
            {"report": {"numTotalTests": 3, "numPassedTests": 3}}
        ]


def test_a_report_outside_the_export_or_of_another_shape_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "sf").mkdir()
    (tmp_path / "out.json").write_text(json.dumps(REPORT))
    (tmp_path / "sf" / "link.json").symlink_to(tmp_path / "out.json")
    (tmp_path / "sf" / "other.json").write_text("[]")
    (tmp_path / "sf" / "broken.json").write_text("{")
    names = ("../out.json", "link.json", "other.json", "broken.json", "none.json", ".", "")

    output = "".join(f"JSON report written to {name}\n" for name in names)

    assert recorder.read(tmp_path / "none", output, tmp_path / "sf") == []


def test_node_s_headers_are_laid_out_where_any_node_gyp_finds_them(tmp_path: Path) -> None:
    wheel, node = tmp_path / "wheel", tmp_path / "node"
    for folder in (wheel / "bin", wheel / "include" / "node", node):
        folder.mkdir(parents=True)
    (wheel / "bin" / "node").touch()
    (node / "node").symlink_to(wheel / "bin" / "node")
    (wheel / "include" / "node" / "node_version.h").write_text(
        "#define NODE_MAJOR_VERSION 24\n#define NODE_MINOR_VERSION 19\n#define NODE_PATCH_VERSION 0\n"
    )

    for _ in range(2):  # a home that an earlier attempt has used is used again
        headers.lay_out(node, tmp_path / "home")

    cache = tmp_path / "home" / ".cache" / "node-gyp" / "24.19.0"
    assert (cache / "include" / "node" / "node_version.h").is_file()
    assert int((cache / "installVersion").read_text()) > 11
    assert headers.environment(node) == {"npm_package_config_node_gyp_nodedir": str(wheel)}


def test_a_node_without_headers_lays_none_out(tmp_path: Path) -> None:
    headers.lay_out(tmp_path, tmp_path / "home")

    assert not (tmp_path / "home").exists()
