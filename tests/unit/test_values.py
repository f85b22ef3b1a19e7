import ast
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from selfdeploy import config, errors, gates, manifest, probe, render, tree
from selfdeploy.environments import record

REVISION = "a" * 40
INDEX, CHILD, CONFIG = (f"sha256:{letter * 64}" for letter in "123")


def a_manifest(**changes: object) -> manifest.Manifest:
    values: dict[str, Any] = {
        "source": manifest.Source(repository="local", revision=REVISION, path=".", tree="b" * 40),
        "gates": tuple(manifest.Gate(name=name, command="x") for name in manifest.REQUIRED_GATES),
        "image": manifest.Image(
            repository="127.0.0.1:5000/sf",
            digest=INDEX,
            mediaType="m",
            platforms={"linux/amd64": manifest.Platform(digest=CHILD, config=CONFIG)},
        ),
        "probes": manifest.PROBES,
    }
    return manifest.Manifest(schema=1, **{**values, **changes})


def a_round(made: manifest.Manifest, /, *, digest: str = CONFIG, state: str = "running", **told: str) -> probe.Round:
    replica = probe.Replica(name="r", instance="i", digests=frozenset({digest}), state=state)
    version = {
        "revision": REVISION,
        "release": made.release,
        "image": made.image.reference,
        "instance": "i",
        **told,
    }
    ok = probe.Answer(status=200, body="{}")
    answers = {"healthz": ok, "ready": ok, "version": probe.Answer(status=200, body=json.dumps(version))}
    return probe.Round(before=(replica,), after=(replica,), answers={"r": answers})


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in errors.SelfdeployError.__subclasses__()]

    assert len(codes) == len(set(codes))
    assert not {0, 1, 2} & set(codes)


def test_the_docs_list_every_exit_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    for kind in errors.SelfdeployError.__subclasses__():
        assert f"| {kind.exit_code} | {kind.__name__} |" in text


def test_the_docs_list_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    kinds = (config.Source, config.Gates, config.Gate, config.Image, config.Probes, config.Environment, config.Secret)

    for kind in kinds:
        for name, field in kind.model_fields.items():
            assert f"| `{name}` | {field.description} |" in text


def test_an_empty_config_has_test_before_prod() -> None:
    project = config.parse({}, root=Path("/p"))

    assert project.before("test") == ()
    assert project.before("prod") == ("test",)
    assert project.compose_project("prod") == "sf-prod"
    assert project.work == Path("/p/.selfdeploy")
    assert project.manifest_path == Path("/p/dist/sf-release-manifest.json")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"sauce": {}}, "sauce: unknown key"),
        ({"root": "/"}, "root: unknown key"),
        ({"source": {"pth": "x"}}, "source.pth: unknown key"),
        ({"gates": {"jobs": "2"}}, "gates.jobs: input should be a valid integer"),
        ({"environments": {"test": {"kind": "compose"}}}, "environments.test.port: missing"),
        ({"environments": {"test": {"kind": "compose", "port": 1, "prt": 2}}}, "environments.test.prt: unknown key"),
        ({"environments": {}}, "there is none"),
        (
            {"environments": {"prod": {"kind": "compose", "port": 1, "after": ["tset"]}}},
            "environments.prod.after[0]: no environment named 'tset'",
        ),
        (
            {
                "environments": {
                    "prod": {"kind": "compose", "port": 1, "after": ["test"]},
                    "test": {"kind": "compose", "port": 2},
                }
            },
            "comes later",
        ),
        ({"image": {"base": "debian:12"}}, "image.base"),
        ({"gates": {"override": {"lint": {"command": ["x"], "needs": ["y"]}}}}, "no gate named 'y'"),
        ({"gates": {"override": {"npm-ci": {"command": ["x"], "needs": ["test-unit"]}}}}, "wait for each other"),
        (
            {"environments": {"test": {"kind": "compose", "port": 1, "secrets": {"A": {}}}}},
            "exactly one of",
        ),
    ],
)
def test_a_wrong_config_is_refused_with_its_path(data: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="deploy.toml") as refused:
        config.parse(data, root=Path())

    assert said in refused.value.message
    assert refused.value.hint


def test_what_comes_before_can_be_said() -> None:
    one, two = ({"kind": "compose", "port": port} for port in (1, 2))
    gate = {"lint": {"command": ["npm", "run", "lint"], "needs": ["npm-ci"]}}
    environments = {"a": one, "b": {**two, "after": []}, "c": {**two, "after": ["b"]}}
    project = config.parse({"environments": environments, "gates": {"override": gate}}, root=Path())

    assert project.before("b") == ()
    assert project.before("c") == ("b",)
    assert list(project.gates.all)[-1] == "lint"


def test_a_config_is_found_above_and_the_source_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SF_SOURCE_DIR", raising=False)
    (tmp_path / "deploy.toml").write_text("[source]\npath = 'sf'\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)

    assert config.load(inner).source_path() == tmp_path / "sf"
    assert config.load(inner, source="/elsewhere").source_path() == Path("/elsewhere")
    with pytest.raises(errors.ConfigInvalid, match="no environment named 'x'"):
        config.load(inner).environment("x")


def test_a_missing_or_broken_config_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ConfigInvalid, match="here or above"):
        config.load()
    (tmp_path / "deploy.toml").write_text("[")
    with pytest.raises(errors.ConfigInvalid, match="mend|deploy.toml"):
        config.load()


def test_equal_manifests_are_equal_bytes_and_survive_a_round_trip() -> None:
    made = a_manifest()

    assert manifest.parse(made.bytes) == made
    assert made.release == a_manifest().release
    assert made.image.digests == {INDEX, CHILD, CONFIG}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (REVISION, "a" * 39),
        (INDEX, "latest"),
        ('"kind"', '"kin"'),
        ('"name": "test-unit"', '"name": "test-none"'),
        ('"name": "test-unit"', '"name": "npm-ci"'),
        ("\n", " "),
        ("{", ""),
    ],
)
def test_a_tampered_manifest_is_refused(old: str, new: str) -> None:
    with pytest.raises(errors.ManifestInvalid):
        manifest.parse(a_manifest().bytes.replace(old.encode(), new.encode()))


def test_a_gate_that_stands_twice_is_refused() -> None:
    made = a_manifest()
    with pytest.raises(pydantic.ValidationError, match="twice"):
        a_manifest(gates=(*made.gates, made.gates[0]))


def test_compose_is_rendered_by_digest_locked_down_and_byte_stable() -> None:
    value = 'a"b: $x\n'
    given = {"test": {"kind": "compose", "port": 4101, "variables": {"V": value}, "secrets": {"S": {"env": "HOME"}}}}
    project = config.parse({"environments": given}, root=Path("/nowhere"))
    made = a_manifest()

    rendered = render.compose(project, "test", made)
    server = yaml.safe_load(rendered)["services"]["server"]

    assert rendered == render.compose(project, "test", made)
    assert server["image"] == f"127.0.0.1:5000/sf@{INDEX}"
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["user"] == "1000:1000"
    assert server["ports"][0]["host_ip"] == "127.0.0.1"
    assert server["environment"]["V"] == value.replace("$", "$$")
    assert server["environment"]["S"] is None
    assert server["labels"]["dev.selfdeploy.release"] == made.release


def test_a_project_s_own_folder_wins_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    project = config.parse({}, root=tmp_path)

    assert render.folder(project, "templates") == tmp_path / "templates"
    with pytest.raises(FileNotFoundError, match="nothing-of-the-kind"):
        render.folder(project, "nothing-of-the-kind")


def test_three_agreeing_witnesses_are_the_release() -> None:
    made = a_manifest()

    for digest in made.image.digests:
        assert probe.compare(made, a_round(made, digest=digest)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"revision": "c" * 40}, "revision: expected"),
        ({"release": "sha256:0"}, "release: expected"),
        ({"image": "127.0.0.1:5000/sf:latest"}, "image: expected"),
        ({"instance": "other"}, "instance: expected one of i"),
        ({"digest": f"sha256:{'9' * 64}"}, "runtime: expected image"),
        ({"state": "restarting"}, "is restarting"),
    ],
)
def test_a_witness_that_disagrees_is_named(changes: dict[str, str], said: str) -> None:
    made = a_manifest()

    wrong = probe.compare(made, a_round(made, **changes))

    assert any(said in line for line in wrong)


def test_no_replica_a_bad_status_and_no_json_are_named() -> None:
    made = a_manifest()
    good = a_round(made)
    broken = {"healthz": probe.Answer(status=302), "version": probe.Answer(status=200, body="<html>")}

    assert "no replica is running" in probe.compare(made, probe.Round(before=(), after=()))
    assert "changed while" in probe.compare(made, probe.Round(before=good.before, after=(), answers=good.answers))[0]
    wrong = probe.compare(made, probe.Round(before=good.before, after=good.before, answers={"r": broken}))
    assert [line for line in wrong if "actual HTTP 302" in line]
    assert [line for line in wrong if "not asked" in line]
    assert [line for line in wrong if "a JSON object" in line]


def test_one_older_answer_in_between_starts_the_count_anew() -> None:
    made = a_manifest()
    good, bad = a_round(made), a_round(made, revision="c" * 40)
    rounds = iter([good, good, bad, good, good, good])

    asked = probe.until_settled(made, config.Probes(interval=0.001), lambda: next(rounds), "test")

    assert asked == 6


def test_what_never_settles_is_not_proven() -> None:
    made = a_manifest()
    with pytest.raises(errors.NotProven, match="actual cccc"):
        probe.until_settled(
            made, config.Probes(interval=0.001, deadline=0.01), lambda: a_round(made, revision="c" * 40), "test"
        )


def test_answers_that_are_no_answers_count_as_none() -> None:
    assert probe.read_answers(b"nonsense") == {}
    assert probe.read_answers(b'{"ready": {"status": 200, "body": "x"}}')["ready"].status == 200


def test_a_gate_is_selected_with_all_it_needs() -> None:
    assert list(gates.select(config.REQUIRED, ["typecheck"])) == ["npm-ci", "build-core", "typecheck"]
    assert list(gates.select(config.REQUIRED, [])) == list(config.REQUIRED)
    with pytest.raises(errors.ConfigInvalid, match="no gate named 'x'"):
        gates.select(config.REQUIRED, ["x"])


def test_the_tests_that_ran_are_counted() -> None:
    assert gates.passed_at("ok\n# tests 12\n# pass 12\n") == 12
    assert gates.passed_at("nothing matched\n") == 0


def test_a_tree_s_digest_sees_content_name_mode_and_link(tmp_path: Path) -> None:
    seen = set()
    file = tmp_path / "a"
    for content in ("x", "y"):
        file.write_text(content)
        seen.add(tree.digest(tmp_path))
    file.chmod(0o755)
    seen.add(tree.digest(tmp_path))
    (tmp_path / "b").symlink_to("a")
    seen.add(tree.digest(tmp_path))

    assert len(seen) == 4


def test_what_ships_is_the_package_s_files_and_its_production_packages(tmp_path: Path) -> None:
    export, ship = tmp_path / "sf", tmp_path / "ship"
    for name in ("dist/loader.js", "src/loader.ts", "node_modules/prod/i.js", "node_modules/dev/i.js"):
        (export / name).parent.mkdir(parents=True, exist_ok=True)
        (export / name).write_text(name)
    (export / "package.json").write_text('{"files": ["dist"]}')
    lock = {"": {}, "node_modules/prod": {}, "node_modules/dev": {"dev": True}}
    (export / "package-lock.json").write_text(json.dumps({"packages": lock}))

    tree.stage(export, ship, epoch=1000)

    files = sorted(path.relative_to(ship).as_posix() for path in ship.rglob("*") if path.is_file())
    assert files == ["dist/loader.js", "node_modules/prod/i.js", "package.json"]
    assert {int(path.stat().st_mtime) for path in ship.rglob("*")} == {1000}


@pytest.mark.parametrize("target", ["/etc/passwd", "nowhere", "../../outside"])
def test_a_link_that_will_not_be_there_is_refused(tmp_path: Path, target: str) -> None:
    export = tmp_path / "sf"
    (export / "dist").mkdir(parents=True)
    (tmp_path / "outside").write_text("")
    (export / "package.json").write_text('{"files": ["dist"]}')
    (export / "dist" / "link").symlink_to(target)

    with pytest.raises(errors.TreeChanged, match="dist/link"):
        tree.stage(export, tmp_path / "ship")


def test_a_record_keeps_what_was_proven_held_and_tried() -> None:
    proven = record.Proven(release="r", digest=INDEX, revision=REVISION, at="t", manifest="m", rendered="c")
    attempt = record.Attempt(release="r", digest=INDEX, revision=REVISION, who="w", began="t")

    value = record.Record().begin(attempt).prove(proven).end("proven", "u").hold(CHILD, "why")

    assert record.parse(value.model_dump_json().encode(), "x") == value
    assert value.attempts[0].ending == "proven"
    assert value.unhold(CHILD).holds == {}
    assert record.parse(b"", "x") == record.Record()
    with pytest.raises(errors.RecordInvalid):
        record.parse(b'{"attempts": 1}', "x")


def test_only_process_py_starts_processes() -> None:
    for path in (Path(__file__).parents[2] / "src").rglob("*.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "subprocess" not in imported or path.name == "process.py"
