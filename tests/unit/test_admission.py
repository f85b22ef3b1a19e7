"""What is refused before minutes are spent on gates; that it is refused under a lock too is tested on engines."""

import contextlib
from pathlib import Path
from unittest import mock

import pytest

from lab.values import INDEX, OLDER, REVISION, a_manifest, a_project, a_proven, an_attempt, an_environment
from selfdeploy import config, environments, errors, provenance, source, trust
from selfdeploy.build import base
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.build.images import Images
from selfdeploy.engine import Engine
from selfdeploy.environments import fitness, record
from selfdeploy.environments.compose.environment import Compose
from selfdeploy.process import Outcome
from selfdeploy.release import upkeep
from selfdeploy.release.pipeline import Releasing
from selfdeploy.rollout import admission
from selfdeploy.trust import keys

KNOWN = record.Record().prove(a_proven("r1"), "t1").prove(a_proven("r2"), "t2")
PLACES = {"test": an_environment(1), "prod": an_environment(2, after=["test"], authority="forgejo")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Project:
    """A project with a key, which this machine signs with, and an environment for what Forgejo has built."""
    keys.make(tmp_path / "ours", "")
    monkeypatch.setenv(keys.FILE, str(tmp_path / "ours.key"))
    return a_project(tmp_path, trust={"keys": ["ours.pub"]}, environments=PLACES)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, project: config.Project) -> mock.Mock:
    """The environment prod, which takes only what Forgejo has built; what it has proven is newer than OLDER."""
    made: mock.Mock = mock.create_autospec(Compose, instance=True)
    made.name, made.project = "prod", project
    made.read.return_value, made.held_by.return_value = KNOWN, None
    order = {OLDER: "older", REVISION: "newer"}
    monkeypatch.setattr(admission, "compare_revisions", lambda _, wanted, __: order.get(wanted, "unknown"))
    return made


@pytest.fixture
def assembly(project: config.Project) -> mock.Mock:
    """A revision that is newer than what runs, and not on record."""
    made: mock.Mock = mock.create_autospec(Assembly, instance=True)
    made.revision, made.project = mock.Mock(commit=REVISION), project
    made.store, made.images, made.outline = mock.Mock(), mock.Mock(), mock.Mock(size=0)
    made.on_record.return_value = None
    return made


@pytest.fixture
def releasing(
    monkeypatch: pytest.MonkeyPatch, project: config.Project, environment: mock.Mock, assembly: mock.Mock
) -> Releasing:
    """A release by Forgejo that nothing around it keeps from ending."""
    made = Releasing(project, mock.MagicMock())
    made.__dict__["assembly"] = assembly
    run = provenance.Run(authority="forgejo", id="7", url="")
    monkeypatch.setattr(environments, "connect", lambda *_: environment)
    monkeypatch.setattr(provenance, "read_run", lambda *_: run)
    monkeypatch.setattr(source, "refuse_dirty", mock.Mock())
    monkeypatch.setattr(fitness, "refuse_full", mock.Mock())
    monkeypatch.setattr(Releasing, "ready_registry", mock.Mock())
    return made


@pytest.mark.parametrize(
    ("revision", "authority", "refusal"),
    [
        (REVISION, "", errors.AuthorityRefused),
        (REVISION, "github", errors.AuthorityRefused),
        (OLDER, "forgejo", errors.ReleaseOlder),
        ("e" * 40, "forgejo", errors.ReleaseOlder),
    ],
)
def test_what_an_environment_would_refuse_once_it_is_made_it_refuses_before(
    environment: mock.Mock, revision: str, authority: str, refusal: type[errors.SelfdeployError]
) -> None:
    with pytest.raises(refusal):
        admission.foresee(environment, revision, authority, older=False)


@pytest.mark.parametrize(
    ("authority", "by", "refusal"),
    [
        ("forgejo", (), errors.Unsigned),
        ("", ("ours.pub",), errors.AuthorityRefused),
        ("github", ("ours.pub",), errors.AuthorityRefused),
        ("forgejo", ("ours.pub",), None),
    ],
)
def test_what_forgejo_built_is_what_its_key_has_signed_and_the_evidence_says(
    environment: mock.Mock, authority: str, by: tuple[str, ...], refusal: type[errors.SelfdeployError] | None
) -> None:
    made = a_manifest()
    release = Release(manifest=made, evidence={"run": {"authority": authority}}, signed=trust.Signed(by=by))
    proof = mock.Mock(environment="test", release=made.release)
    known = record.Record()

    with pytest.raises(refusal) if refusal else contextlib.nullcontext():
        admission.admit(environment, known, release, [proof], older=False)


def test_what_it_would_take_it_does_not_refuse_before(environment: mock.Mock) -> None:
    admission.foresee(environment, REVISION, "forgejo", older=False)
    admission.foresee(environment, OLDER, "forgejo", older=True)
    environment.read.return_value = record.Record()
    admission.foresee(environment, OLDER, "forgejo", older=False)


@pytest.mark.parametrize("release", ["r3", "r1"], ids=["new", "on its way back"])
@pytest.mark.parametrize("holder", [None, mock.sentinel.holder], ids=["killed", "under way"])
@pytest.mark.parametrize(("revision", "authority"), [(OLDER, "forgejo"), (REVISION, "")])
def test_foresee_leaves_an_open_attempt_and_a_cut_off_rollback_to_the_holder(
    environment: mock.Mock, release: str, holder: object, revision: str, authority: str
) -> None:
    environment.read.return_value, environment.held_by.return_value = KNOWN.begin(an_attempt(release)), holder
    refused = ""

    try:
        admission.foresee(environment, revision, authority, older=False)
    except (errors.ReleaseOlder, errors.AuthorityRefused) as exc:
        refused = exc.message

    assert bool(refused) is (release == "r3" and holder is None)


def test_a_record_that_is_damaged_is_told_before(environment: mock.Mock) -> None:
    environment.read.side_effect = errors.RecordInvalid("prod: record: ")

    with pytest.raises(errors.RecordInvalid):
        admission.foresee(environment, REVISION, "forgejo", older=False)


def test_foresee_passes_an_engine_without_an_image_to_read_the_record_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "inspect", lambda _, kind, __: {"Labels": None} if kind == "volume" else None)
    monkeypatch.setattr(Engine, "run", lambda *_, **__: Outcome(argv=(), code=0))
    pruned = Compose(a_project(environments={"test": an_environment(1, engine="unix:///nowhere")}), "test")

    with pytest.raises(errors.ImageGone, match="nothing here can read it"):
        pruned.read()
    admission.foresee(pruned, REVISION, "", older=False)


def test_nothing_is_foreseen_of_a_release_on_record_for_it_takes_no_gates(
    releasing: Releasing, assembly: mock.Mock, environment: mock.Mock
) -> None:
    assembly.on_record.return_value = mock.sentinel.release

    releasing.preflight(["test", "prod"], fresh=False, foreign="", older=False)

    environment.read.assert_not_called()
    assembly.images.refuse_unfit_base.assert_not_called()


@pytest.mark.parametrize(("foreign", "built", "adopted"), [("", 1, 0), ("r@sha256:...", 0, 1)])
def test_preflight_checks_the_base_before_a_build_or_else_the_foreign_image(
    releasing: Releasing, assembly: mock.Mock, environment: mock.Mock, foreign: str, built: int, adopted: int
) -> None:
    releasing.preflight(["prod"], fresh=True, foreign=foreign, older=False)

    assert (assembly.images.builder.call_count, assembly.images.refuse_unfit_base.call_count) == (built, built)
    assert assembly.foreign.call_count == adopted
    environment.read.assert_called_once()


def test_a_base_is_tried_once_in_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    named, tried = f"registry.lan/base@{INDEX}", mock.Mock()
    monkeypatch.setattr(base, "refuse_unfit", tried)
    monkeypatch.setattr(Images, "builder", lambda _: mock.sentinel.builder)
    made = Images(project=a_project(image={"base": named}), revision=mock.Mock(), store=mock.Mock(), tell=mock.Mock())

    made.refuse_unfit_base()

    assert made.base() == named
    tried.assert_called_once_with(named, made.project.gates.node, mock.sentinel.builder)


def test_what_is_refused_before_the_gates_undoes_what_was_cut_off_as_after_them(
    releasing: Releasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assemble = mock.Mock()
    monkeypatch.setattr(Releasing, "assemble", assemble)
    monkeypatch.setattr(provenance, "read_run", lambda *_: None)
    monkeypatch.setattr(upkeep, "undo", lambda _, name, *__: f"{name}: undone")

    with pytest.raises(errors.AuthorityRefused) as refused:
        releasing.converge()

    assert refused.value.message.splitlines()[1:] == ["test: undone", "prod: undone"]
    assemble.assert_not_called()
