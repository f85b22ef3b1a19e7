import json

import pydantic
import pytest

from lab.values import CHILD, CONFIG, INDEX, REVISION, a_manifest
from selfdeploy import errors, manifest


def test_equal_releases_are_equal_bytes() -> None:
    assert a_manifest().bytes == a_manifest().bytes
    assert a_manifest().release == a_manifest().release
    assert (
        a_manifest().release != a_manifest(gates=(*a_manifest().gates, manifest.Gate(name="lint", command="x"))).release
    )


def test_a_manifest_survives_a_round_trip() -> None:
    made = a_manifest()

    assert manifest.parse(made.bytes) == made


def test_an_image_is_named_by_digest_and_known_by_every_digest_it_has() -> None:
    image = a_manifest().image

    assert image.reference == f"127.0.0.1:5000/sf@{INDEX}"
    assert image.digests == {INDEX, CHILD, CONFIG}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (REVISION, "a" * 39, "source.revision"),
        (INDEX, "latest", "image.digest"),
        (CHILD, "sha256:2", "image.platforms"),
        ('"127.0.0.1:5000/sf"', '"127.0.0.1:5000/sf:latest"', "image.repository"),
        ('"schema": 1', '"schema": 2', "schema"),
        ('"kind"', '"kin"', "kin"),
        ('"name": "test-unit"', '"name": "test-none"', "test-unit missing"),
        ('"name": "image"', '"name": "npm-ci"', "image missing"),
        ('"version"', '"versio"', "probes: version missing"),
        ('"/api/ready"', '"@elsewhere/"', "probes.ready"),
        ('"/api/ready"', '"/api/ready?as=ready"', "probes.ready"),
        ("\n", " ", "not the bytes"),
        ("\n", "\n\n", "not the bytes"),
        ("{", "", "manifest: "),
        ("{", "[" * 10_000, "manifest: "),
    ],
)
def test_a_tampered_manifest_is_refused_with_its_path(old: str, new: str, said: str) -> None:
    tampered = a_manifest().bytes.replace(old.encode(), new.encode())

    with pytest.raises(errors.ManifestInvalid) as refused:
        manifest.parse(tampered)

    assert said in refused.value.message


def test_a_gate_that_stands_twice_is_refused() -> None:
    gates = a_manifest().gates

    with pytest.raises(pydantic.ValidationError, match="a name stands twice"):
        a_manifest(gates=(*gates, gates[0]))


@pytest.mark.parametrize("gate", manifest.REQUIRED_GATES)
def test_a_manifest_without_one_of_the_contract_s_eight_gates_is_refused(gate: str) -> None:
    others = tuple(other for other in a_manifest().gates if other.name != gate)

    with pytest.raises(pydantic.ValidationError, match=f"gates: {gate} missing"):
        a_manifest(gates=others)


@pytest.mark.parametrize("probe", manifest.PROBES)
def test_a_manifest_that_leaves_a_probe_out_is_refused(probe: str) -> None:
    others = {name: path for name, path in manifest.PROBES.items() if name != probe}

    with pytest.raises(pydantic.ValidationError, match=f"probes: {probe} missing"):
        a_manifest(probes=others)


def test_a_gate_that_was_redefined_says_so_and_no_other_gate_does() -> None:
    contract = a_manifest()
    weakened = tuple(gate.model_copy(update={"redefined": gate.name == "test-unit"}) for gate in contract.gates)
    made = a_manifest(gates=weakened)

    told = {gate["name"]: gate for gate in json.loads(made.bytes)["gates"]}

    assert told.pop("test-unit") == {"name": "test-unit", "command": "x", "redefined": True}
    assert all(set(gate) == {"name", "command"} for gate in told.values())
    assert (contract.redefined, made.redefined) == ((), ("test-unit",))
    assert manifest.parse(made.bytes) == made
    assert made.release != contract.release
    with pytest.raises(errors.ManifestInvalid, match="not the bytes"):
        manifest.parse(made.bytes.replace(b'"redefined": true', b'"redefined": false'))


def test_a_manifest_holds_no_clock_no_run_and_no_host() -> None:
    told = json.loads(a_manifest().bytes)

    assert set(told) == {"schema", "kind", "source", "gates", "image", "probes"}
    assert set(told["source"]) == {"repository", "revision", "path", "tree"}
    assert set(told["image"]) == {"repository", "digest", "mediaType", "platforms"}


def test_a_server_that_is_tried_before_there_is_an_image_reads_a_whole_manifest() -> None:
    source = a_manifest().source

    stand_in = manifest.stand_in(source)

    assert manifest.parse(stand_in.bytes, "it") == stand_in
    assert stand_in.source == source
    assert stand_in.image.reference == f"localhost/sf@sha256:{'0' * 64}"


def test_a_complaint_about_the_whole_names_no_empty_place() -> None:
    text = a_manifest().bytes.replace(b'"npm-ci"', b'"npm-cj"')

    with pytest.raises(errors.ManifestInvalid, match="^x: gates: npm-ci missing"):
        manifest.parse(text, "x")
