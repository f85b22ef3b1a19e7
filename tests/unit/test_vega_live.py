import json
from pathlib import Path

import pydantic
import pytest

from selfdeploy import errors, manifest, source
from selfdeploy.probes import witness
from selfdeploy.vega import live

REVISION, TREE, OTHER = "a" * 40, "b" * 40, "c" * 40
IMAGE = f"sha256:{'1' * 64}"
GATES = (manifest.Gate(name="build-web-host", command="npm run build:web-host"),)


def a_live(checkout: Path, tree: str = TREE, commit: str = REVISION, changed: tuple[str, ...] = ()) -> live.Live:
    made = source.Revision(
        checkout=checkout, commit=commit, tree=tree, path=".", repository="local", epoch=0, live=True
    )
    return live.Live(revision=made, changed=changed)


def built(checkout: Path, made: live.Live) -> live.Stamp:
    stamp = live.stamp(made, "2026-01-01T00:00:00Z", GATES)
    (checkout / live.SERVER).parent.mkdir(parents=True, exist_ok=True)
    (checkout / live.SERVER).touch()
    (checkout / live.STAMP).write_text(stamp.model_dump_json())
    return stamp


def test_a_build_is_current_only_for_the_files_and_the_revision_it_was_made_of(tmp_path: Path) -> None:
    assert "is missing" in live.why_stale(a_live(tmp_path))
    stamp = built(tmp_path, a_live(tmp_path))

    assert live.require_current(a_live(tmp_path)) == stamp
    assert "is older than a.ts" in live.why_stale(a_live(tmp_path, OTHER, changed=("a.ts",)))
    assert "and HEAD is cccc" in live.why_stale(a_live(tmp_path, commit=OTHER))
    (tmp_path / live.STAMP).unlink()
    with pytest.raises(errors.BuildStale, match="does not say") as refused:
        live.require_current(a_live(tmp_path))
    assert "--build" in refused.value.hint


def a_manifest(changed: tuple[str, ...] = ("a.ts",)) -> live.Manifest:
    made = a_live(Path("/sf"), changed=changed)
    return live.describe(made, live.stamp(made, "2026-01-01T00:00:00Z", GATES), "sf-vega", IMAGE)


def test_a_live_manifest_lists_the_changes_and_survives_a_round_trip() -> None:
    made = a_manifest()
    told = json.loads(made.bytes)

    assert told["kind"] == "source"
    assert told["source"]["dirty"] is True
    assert told["source"]["changed"] == ["a.ts"]
    assert told["source"]["tree"] == TREE
    assert told["source"]["builtAt"] == "2026-01-01T00:00:00Z"
    assert live.parse(made.bytes, "x") == made
    assert live.parse(made.bytes, "x").release == made.release
    for bad in (b"", b"{}", b"[]", made.bytes.replace(b'"source"', b'"image"', 1)):
        with pytest.raises(errors.ManifestInvalid):
            live.parse(bad, "x")
    with pytest.raises(errors.ManifestInvalid):
        manifest.parse(made.bytes)
    with pytest.raises(pydantic.ValidationError):
        made.model_validate({**told, "gates": []}, strict=False)


@pytest.mark.parametrize(
    ("changed", "dirty", "agrees"), [(("a",), True, True), (("a",), None, False), ((), False, True)]
)
def test_a_changed_checkout_s_server_has_to_say_so(changed: tuple[str, ...], dirty: object, agrees: bool) -> None:  # noqa: FBT001
    made = a_manifest(changed)
    version = {**made.version, "dirty": dirty, "instance": "i"}
    ok = witness.Answer(status=200, body="{}")
    answers = {"healthz": ok, "ready": ok, "version": witness.Answer(status=200, body=json.dumps(version))}
    replica = witness.Replica(name="r", instance="i", digests=frozenset({IMAGE}))

    wrong = witness.compare(made, witness.Round(before=(replica,), after=(replica,), answers={"r": answers}))

    assert (wrong == []) is agrees
