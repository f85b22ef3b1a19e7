"""npm's audit of signatures: which of its answers a release passes with."""

import json
from pathlib import Path

import pytest

from lab.values import a_project
from selfdeploy import config, errors
from selfdeploy.gates import signatures
from selfdeploy.gates.room import Room

PACKAGE = {"name": "ms", "version": "2.1.3", "registry": "https://me:word@npm.lan/", "code": "EINTEGRITYSIGNATURE"}
NONE = "found no dependencies to audit that were installed from a supported registry"


def answer(**parts: object) -> str:
    return json.dumps(parts)


def failed(code: str, summary: str) -> str:
    return answer(error={"code": code, "summary": summary, "detail": ""})


def test_an_audit_that_finds_all_signatures_passes() -> None:
    assert signatures.judge(0, answer(invalid=[], missing=[]), "", "/sf") == "valid"


def test_a_tree_without_packages_of_a_registry_with_keys_passes() -> None:
    assert NONE in signatures.judge(1, answer(error={"summary": NONE, "detail": ""}), "", "/sf")


@pytest.mark.parametrize("kind", ["invalid", "missing"])
def test_a_package_without_a_valid_signature_is_refused_by_name(kind: str) -> None:
    told = {"invalid": [], "missing": [], kind: [PACKAGE]}

    with pytest.raises(errors.PackagesUnsigned) as refused:
        signatures.judge(1, answer(**told), "", "/sf/web")

    assert "/sf/web: npm audit signatures: 1 without a valid signature" in refused.value.message
    assert f"ms@2.1.3 (https://npm.lan/)': {kind} signature" in refused.value.message
    assert "gates.audit_signatures = false" in refused.value.hint


def test_an_error_names_only_so_many_packages() -> None:
    with pytest.raises(errors.PackagesUnsigned) as refused:
        signatures.judge(1, answer(invalid=[PACKAGE] * 30, missing=[]), "", "/sf")

    assert refused.value.message.count("ms@2.1.3") == signatures.NAMED
    assert "and 10 more" in refused.value.message


@pytest.mark.parametrize("code", ["EMISSINGSIGNATUREKEY", "EEXPIREDSIGNATUREKEY", "EINTEGRITY"])
def test_a_signature_by_a_key_that_is_not_offered_is_refused(code: str) -> None:
    with pytest.raises(errors.PackagesUnsigned, match=r"ms@2\.1\.3 has"):
        signatures.judge(1, failed(code, "ms@2.1.3 has a registry signature with keyid: x"), "", "/sf")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, failed("ENOTFOUND", "request to https://tuf-repo-cdn.sigstore.dev/15.root.json failed")),
        (1, answer(invalid=[], missing=[])),
        (0, answer(invalid=[])),
        (0, "{}"),
        (0, ""),
        (0, "null"),
        (0, "[]"),
        (1, "npm error code EUSAGE"),
        (0, answer(invalid=[{"name": 1}], missing=[])),
        (0, "[" * 100_000),
    ],
)
def test_an_audit_without_a_readable_answer_does_not_pass(code: int, told: str) -> None:
    with pytest.raises(errors.SignaturesUnknown) as refused:
        signatures.judge(code, told, "", "/sf")

    assert refused.value.message.startswith("/sf: npm audit signatures: ")
    assert "gates.audit_signatures = false" in refused.value.hint


@pytest.mark.parametrize(
    ("packages", "has"),
    [
        ({"node_modules/ms": {"version": "2.1.3", "integrity": "sha512-x"}}, True),
        ({"node_modules/ms": {"resolved": "https://npm.lan/ms/-/ms-2.1.3.tgz"}}, True),
        ({"node_modules/ms": {"resolved": "file:vendor/ms.tgz", "integrity": "sha512-x"}}, False),
        ({"node_modules/ms": {"resolved": "git+ssh://git@git.lan/ms.git#1"}}, False),
        ({"node_modules/own": {"resolved": "packages/own", "link": True}, "packages/own": {"version": "1.0.0"}}, False),
        ({}, False),
        ([], True),
    ],
)
def test_only_packages_of_a_registry_are_audited(tmp_path: Path, packages: object, *, has: bool) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / ".package-lock.json").write_text(json.dumps({"packages": packages}))

    assert signatures.has_packages(tmp_path) is has


def test_what_npm_did_not_install_is_not_audited(tmp_path: Path) -> None:
    place = Room(folder=tmp_path)

    assert signatures.audit(a_project(tmp_path), place, {}, (), print) == {"asked": True, "folders": {}}


def test_an_audit_that_is_off_says_so(tmp_path: Path) -> None:
    project = a_project(tmp_path, gates={"audit_signatures": False})

    told = signatures.audit(project, Room(folder=tmp_path), {}, (), print)

    assert told == {"asked": False, "why": config.UNAUDITED}
