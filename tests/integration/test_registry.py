"""Registries as they are: open, closed, behind certificates and tokens, stopped, and lying."""

import base64
import gzip
import json
import os
import shutil
import tarfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from lab import children, images, needed
from lab import registry as lab
from lab.liar import Liar, answer
from lab.tokens import Login
from selfdeploy import errors, registry, tree
from selfdeploy.registry import Registry, artifact, connections, layers

CI = Login(user="ci", password="the right one")
WRONG = Login(user="ci", password="a wrong secret")
SKOPEO = [] if shutil.which("skopeo") else ["skopeo"]
BUSYBOX = [] if images.BUSYBOX.exists() else ["busybox-static"]
CLOSED: list[Callable[[], lab.Registry]] = [
    lambda: lab.Registry(login=CI),
    lambda: lab.Registry(login=CI, token=True),
    lambda: lab.Registry(tls=True, login=CI, token=True),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have no login, no authority and no proxy but those of the test."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(connections, "CERTIFICATES", tmp_path / "certs.d")
    (tmp_path / "docker").mkdir()
    return tmp_path


@pytest.fixture
def here() -> Iterator[lab.Registry]:
    needed.need(lab.MISSING + SKOPEO + BUSYBOX)
    with lab.Registry() as running:
        yield running


def save(home: Path, config: Mapping[str, object]) -> None:
    (home / "docker" / "config.json").write_text(json.dumps(config))


def log_in(home: Path, host: str, login: Login) -> None:
    save(home, {"auths": {host: {"auth": login.header.removeprefix("Basic ")}}})


def store(host: str, *, patience: float = 20.0) -> Registry:
    if patience == 20.0:
        return registry.connect(registry.Reference(host=host, repository="team/sf"))
    return Registry(registry.Reference(host=host, repository="team/sf"), scheme="http", patience=patience)


def trust(home: Path, there: lab.Registry) -> None:
    if there.ca:
        shutil.copytree(there.ca.parent, home / "certs.d" / there.name)


def push(to: lab.Registry, layout: Path, *, options: Iterable[str] = (), tag: str = "1") -> None:
    target = f"docker://{to.name}/team/sf:{tag}"
    command = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *options]
    children.run([*command, f"oci:{layout}", target])


def a_record(there: Registry) -> registry.Record:
    subject = registry.Descriptor(media_type=artifact.SINGLE[0], digest=registry.sha256(b"x"), size=1)
    record = registry.Record(subject=subject, manifest=b"{}", evidence=b"[]")
    there.put_record(record, "rev")
    return record


@pytest.mark.parametrize("make", [lab.Registry, lambda: lab.Registry(tls=True), *CLOSED])
def test_a_record_is_found_as_it_was_put(make: Callable[[], lab.Registry], home: Path) -> None:
    needed.need(lab.MISSING)
    with make() as there:
        trust(home, there)
        if there.login:
            log_in(home, there.name, CI)
        ours = store(there.name)

        ours.ping()
        ours.may_push()
        record = a_record(ours)

        assert store(there.name).find_record("rev") == record
        assert store(there.name).find_record("other") is None


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_is_trusted_that_the_environment_names(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(tls=True) as there:
        reference = registry.Reference(host=there.name, repository="team/sf")
        with pytest.raises(errors.RegistryUntrusted, match="certificate is not trusted: .*issuer") as caught:
            Registry(reference, scheme="https").ping()
        assert f"certs.d/{there.name}/ca.crt" in caught.value.hint

        monkeypatch.setenv(variable, str(there.ca))

        Registry(reference, scheme="https").ping()


def test_an_authority_of_one_host_is_none_of_another(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(tls=True) as one, lab.Registry(tls=True) as other:
        trust(home, one)
        assert other.ca is not None
        (home / "certs.d" / other.name).mkdir()
        shutil.copy(home / "certs.d" / one.name / "ca.crt", home / "certs.d" / other.name)

        with pytest.raises(errors.RegistryUntrusted, match=other.name):
            store(other.name).ping()


def test_the_environments_authority_does_not_take_the_place_of_the_hosts_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(tls=True) as there, lab.Registry(tls=True) as other:
        trust(home, there)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.ca))

        store(there.name).ping()


def test_a_file_without_a_certificate_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(home / "none.crt"))

    with pytest.raises(errors.ConfigInvalid, match=r"none\.crt: no certificates"):
        store("registry.example")


def test_a_registry_that_speaks_tls_says_so_to_who_does_not() -> None:
    needed.need(lab.MISSING)
    with lab.Registry(tls=True) as there:
        with pytest.raises(errors.RegistryInvalid, match="no registry") as caught:
            store(there.name).ping()

        assert "https" in caught.value.hint


def test_a_registry_that_speaks_no_tls_is_told_from_one_that_is_not_there(here: lab.Registry) -> None:
    plain = Registry(registry.Reference(host=here.name, repository="team/sf"), scheme="https")

    with pytest.raises(errors.RegistryUnreachable, match="does not speak TLS"):
        plain.ping()


@pytest.mark.parametrize("make", CLOSED)
@pytest.mark.parametrize("login", [None, WRONG])
def test_a_wrong_password_and_none_are_refused_and_never_told(
    make: Callable[[], lab.Registry], login: Login | None, home: Path
) -> None:
    needed.need(lab.MISSING)
    with make() as there:
        trust(home, there)
        if login:
            log_in(home, there.name, login)

        with pytest.raises(errors.RegistryDenied) as caught:
            store(there.name).ping()

        assert ("the login of ci" if login else "no login in") in caught.value.message
        assert f"docker login {there.name}" in caught.value.hint
        assert_tells_no_secret(caught.value)


def test_who_may_only_pull_is_told_before_anything_is_built(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.allowed = frozenset({"pull"})
        log_in(home, there.name, CI)

        with pytest.raises(errors.RegistryDenied, match="lets us in, and does not let us push"):
            store(there.name).may_push()

        assert "repository:team/sf:pull,push" in there.tokens.asked


def test_a_token_that_expires_on_the_way_is_renewed(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        log_in(home, there.name, CI)
        ours = store(there.name)
        there.tokens.lifetime = -600
        with pytest.raises(errors.RegistryDenied):
            ours.ping()
        there.tokens.lifetime = 300

        record = a_record(ours)

        assert ours.find_record("rev") == record
        assert there.tokens.asked.count("repository:team/sf:pull,push") == 2


def helper(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = home / "bin" / "docker-credential-labtest"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nhost=$(cat)\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
@pytest.mark.parametrize("identity", [False, True])
def test_a_credential_helper_tells_the_login(
    *, key: str, identity: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.identity = "an identity"
        told = ("<token>", "an identity") if identity else (CI.user, CI.password)
        text = json.dumps({"ServerURL": there.name, "Username": told[0], "Secret": told[1]})
        helper(home, monkeypatch, f"""[ "$host" = {there.name} ] && echo '{text}'""")
        save(home, {key: {there.name: "labtest"} if key == "credHelpers" else "labtest"})

        store(there.name).may_push()


@pytest.mark.parametrize(
    ("script", "error", "what"),
    [
        ("echo a wrong secret; exit 1", errors.RegistryDenied, "labtest get: exit code 1"),
        ("echo a wrong secret", errors.RegistryDenied, "labtest get: no JSON"),
        ("echo credentials not found in native keychain; exit 1", errors.RegistryDenied, "no login in"),
    ],
)
def test_a_credential_helper_that_fails_is_named_and_not_quoted(
    script: str, error: type[errors.SelfdeployError], what: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed.need(lab.MISSING)
    helper(home, monkeypatch, script)
    with lab.Registry(login=CI) as there:
        save(home, {"credsStore": "labtest"})

        with pytest.raises(error, match=what) as caught:
            store(there.name).ping()

        assert_tells_no_secret(caught.value)


def test_a_credential_helper_that_is_not_installed_is_named(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI) as there:
        save(home, {"credsStore": "not-here"})

        with pytest.raises(errors.ToolMissing, match="docker-credential-not-here") as caught:
            store(there.name).ping()

        assert "config.json" in caught.value.hint


def test_an_identity_token_in_the_config_is_good_for_a_token(home: Path) -> None:
    needed.need(lab.MISSING)
    with lab.Registry(login=CI, token=True) as there:
        assert there.tokens is not None
        there.tokens.identity = "an identity"
        save(home, {"auths": {there.name: {"identitytoken": "an identity"}}})
        store(there.name).may_push()

        there.tokens.identity = "another"

        with pytest.raises(errors.RegistryDenied, match="refuses a token"):
            store(there.name).ping()


def test_a_registry_that_is_stopped_is_unreachable_and_one_that_is_back_is_not(here: lab.Registry) -> None:
    ours = store(here.name)
    ours.ping()
    here.stop()

    with pytest.raises(errors.RegistryUnreachable, match="does not answer"):
        ours.ping()
    here.start()

    ours.ping()


@pytest.mark.parametrize("schema2", [False, True])
def test_an_image_has_its_platform_its_config_and_its_labels(
    *, schema2: bool, here: lab.Registry, tmp_path: Path
) -> None:
    images.oci_layout(tmp_path / "layout", labels={"a": "b"})
    push(here, tmp_path / "layout", options=["--format", "v2s2"] if schema2 else [])
    ours = store(here.name)

    found = ours.image("1")

    assert found is not None
    assert found.media_type == artifact.SINGLE[schema2]
    assert list(found.platforms) == ["linux/amd64"]
    child = found.platforms["linux/amd64"]
    assert child.digest == found.digest != child.config
    assert ours.labels(found) == {"linux/amd64": {"a": "b"}}
    assert ours.image(found.digest) == found
    assert ours.image("other") is None


def put_index(ours: Registry, entries: list[dict[str, object]], tag: str) -> str:
    data = json.dumps({"schemaVersion": 2, "mediaType": artifact.INDEX[0], "manifests": entries}).encode()
    ours.put_manifest(data, artifact.INDEX[0], tag)
    return registry.sha256(data)


def put_image(ours: Registry, config: Mapping[str, object], kind: str = artifact.CONFIG[0]) -> registry.Descriptor:
    data = json.dumps(config).encode()
    ours.put_blob(data)
    value = {
        "schemaVersion": 2,
        "mediaType": artifact.SINGLE[0],
        "config": {"mediaType": kind, "digest": registry.sha256(data), "size": len(data)},
        "layers": [],
    }
    manifest = json.dumps(value).encode()
    ours.put_manifest(manifest, artifact.SINGLE[0], registry.sha256(manifest))
    return registry.Descriptor(media_type=artifact.SINGLE[0], digest=registry.sha256(manifest), size=len(manifest))


def test_an_index_is_kept_apart_from_its_platforms_and_attestations_are_left_out(here: lab.Registry) -> None:
    ours = store(here.name)
    amd, arm, attestation = (
        put_image(ours, {"os": "linux", "architecture": name, "config": {"Labels": {"for": name}}})
        for name in ("amd64", "arm64", "attestation")
    )
    entries = [
        {**amd.as_json(), "platform": {"os": "linux", "architecture": "amd64"}},
        {**arm.as_json(), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**attestation.as_json(), "platform": {"os": "unknown", "architecture": "unknown"}},
        {**attestation.as_json(), "annotations": {artifact.REFERS: "attestation-manifest"}},
    ]
    digest = put_index(ours, entries, "index")

    found = ours.image("index")

    assert found is not None
    assert (found.digest, found.media_type) == (digest, artifact.INDEX[0])
    assert {name: child.digest for name, child in found.platforms.items()} == {
        "linux/amd64": amd.digest,
        "linux/arm64/v8": arm.digest,
    }
    assert ours.labels(found) == {"linux/amd64": {"for": "amd64"}, "linux/arm64/v8": {"for": "arm64"}}


def test_what_is_no_image_is_no_release(here: lab.Registry) -> None:
    ours = store(here.name)
    a_record(ours)
    one = put_image(ours, {"os": "linux", "architecture": "amd64"})
    strange = put_image(ours, {"os": "linux"})
    platform = {"os": "linux", "architecture": "amd64"}
    put_index(ours, [{**one.as_json(), "platform": platform}] * 2, "twice")
    put_index(ours, [{**one.as_json(), "platform": {"os": "unknown", "architecture": "unknown"}}], "none")
    put_index(ours, [{**one.as_json(), "size": one.size + 1}], "size")
    put_index(ours, [{**strange.as_json()}], "strange")

    for tag, error, what in (
        ("rev", errors.ImageMismatch, "no image: its config is"),
        ("twice", errors.ImageMismatch, "two images for 'linux/amd64'"),
        ("none", errors.ImageMismatch, "an index without an image"),
        ("size", errors.RegistryInvalid, f"expected {one.size + 1}, actual {one.size}"),
        ("strange", errors.RegistryInvalid, "architecture: Field required"),
    ):
        with pytest.raises(error, match=what):
            ours.image(tag)


def test_labels_of_another_shape_are_refused(here: lab.Registry) -> None:
    ours = store(here.name)
    for config in ({"Labels": ["a"]}, {"Labels": {"a": 1}}, "text"):
        one = put_image(ours, {"os": "linux", "architecture": "amd64", "config": config})
        found = ours.image(one.digest)
        assert found is not None

        with pytest.raises(errors.RegistryInvalid, match="no labels"):
            ours.labels(found)


def test_the_files_of_a_pushed_image_are_those_of_its_tree(here: lab.Registry, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "dist" / "empty").mkdir(parents=True)
    (root / "dist" / "loader.js").write_text("loader")
    (root / "run").write_text("#!/bin/sh")
    (root / "run").chmod(0o755)
    (root / "to").symlink_to("dist/loader.js")
    layout = tmp_path / "layout"
    images.oci_layout(layout)
    add_layer(layout, root)
    push(here, layout)
    ours = store(here.name)
    found = ours.image("1")
    assert found is not None
    digest = found.platforms["linux/amd64"].digest

    actual = layers.files(ours, digest, "opt/sf")

    assert layers.compare(tree.entries(root), actual) == []
    assert layers.files(ours, digest, "bin")["sh"] == tree.Entry(kind="link", content="busybox")
    (root / "dist" / "loader.js").write_text("another")
    assert layers.compare(tree.entries(root), actual) == ["dist/loader.js: differs"]


def add_layer(layout: Path, root: Path) -> None:
    """Put ROOT at /opt/sf into a second layer of the image in LAYOUT."""
    file = layout / "layer.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(root, "opt/sf")
    unpacked = file.read_bytes()
    blobs = layout / "blobs" / "sha256"
    index = json.loads((layout / "index.json").read_bytes())

    def read(descriptor: dict[str, str]) -> dict[str, object]:
        value: dict[str, object] = json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes())
        return value

    def keep(descriptor: dict[str, object], data: bytes) -> dict[str, object]:
        digest = registry.sha256(data)
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {**descriptor, "digest": digest, "size": len(data)}

    manifest = read(index["manifests"][0])
    config = read(manifest["config"])  # type: ignore[arg-type]
    config["rootfs"]["diff_ids"].append(registry.sha256(unpacked))  # type: ignore[index]
    manifest["config"] = keep(manifest["config"], json.dumps(config).encode())  # type: ignore[arg-type]
    manifest["layers"].append(keep(manifest["layers"][0], gzip.compress(unpacked)))  # type: ignore[index,attr-defined]
    index["manifests"][0] = keep(index["manifests"][0], json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps(index))


# What is no registry, and what is one and lies.


def secrets() -> set[str]:
    header = WRONG.header.removeprefix("Basic ")
    return {WRONG.password, header, CI.password, CI.header.removeprefix("Basic "), "token-of-the-test"}


def assert_tells_no_secret(error: errors.SelfdeployError) -> None:
    told = "".join(traceback.format_exception(error)) + error.hint
    assert error.message
    assert error.hint
    for secret in secrets():
        assert secret not in told


MANIFEST = json.dumps({"config": {"mediaType": artifact.CONFIG[0], "digest": registry.sha256(b"{}"), "size": 2}})
OCI = {"Content-Type": artifact.SINGLE[0]}


def test_a_tag_that_is_just_being_written_is_asked_for_again_and_a_write_is_not_made_twice() -> None:
    def told(asked: str, _: object) -> bytes:
        times = [what for what, _ in there.asked].count(asked)
        if not asked.startswith("GET"):
            return answer(status=500)
        return answer(MANIFEST.encode(), headers=OCI) if times > 1 else answer(status=500)

    with Liar(told) as there:
        found = store(there.name).manifest("1")
        with pytest.raises(errors.RegistryUnreachable, match="answers 500 to PUT"):
            store(there.name).put_manifest(b"{}", OCI["Content-Type"], "1")

    assert found is not None
    assert [what.partition(" ")[0] for what, _ in there.asked] == ["GET", "GET", "PUT"]


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (b"", errors.RegistryUnreachable, "does not answer"),
        (b"\x00\xff garbage\r\n\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"SSH-2.0-OpenSSH\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", errors.RegistryUnreachable, "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", errors.RegistryInvalid, "no registry"),
        (answer(b"<html>", headers={"Docker-Distribution-Api-Version": ""}), errors.RegistryInvalid, None),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", errors.RegistryInvalid, "no registry"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", errors.RegistryInvalid, r"no registry \(HTTP 404\)"),
        (answer(status=500), errors.RegistryUnreachable, "answers 500 to GET"),
        (answer(status=503), errors.RegistryUnreachable, "answers 503 to GET"),
        (answer(status=403), errors.RegistryDenied, r"refuses GET \(403\)"),
        (answer(status=401), errors.RegistryDenied, r"refuses GET \(401\)"),
        (answer(status=401, headers={"WWW-Authenticate": "Basic"}), errors.RegistryDenied, "the login of ci"),
        (answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://x/"'}), errors.RegistryUntrusted, None),
        (
            answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="https://127.0.0.1:1/"'}),
            errors.RegistryUnreachable,
            "127.0.0.1:1: the registry does not answer",
        ),
        (
            answer(status=401, headers={"WWW-Authenticate": 'Bearer realm="https://127.0.0.1:99999/"'}),
            errors.RegistryUnreachable,
            "127.0.0.1:99999: the registry does not answer",
        ),
        (answer(status=302), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "/v2/"}), errors.RegistryInvalid, "more than 5 redirects"),
        (answer(status=302, headers={"Location": "file:///etc/passwd"}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "http://["}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "http://h:99999/"}), errors.RegistryInvalid, "no address"),
        (answer(status=302, headers={"Location": "//"}), errors.RegistryInvalid, None),
    ],
)
def test_what_is_no_registry_is_told_as_what_it_is(
    told: bytes, error: type[errors.SelfdeployError], what: str | None, home: Path
) -> None:
    with Liar(lambda *_: told) as there:
        log_in(home, there.name, WRONG)

        with pytest.raises(error, match=what) as caught:
            store(there.name).ping()

        assert_tells_no_secret(caught.value)


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (answer(b"{}", headers=OCI), errors.RegistryInvalid, "config: Field required"),
        (answer(b"[1]", headers=OCI), errors.RegistryInvalid, "team/sf@sha256:"),
        (answer(b"{", headers=OCI), errors.RegistryInvalid, "Invalid JSON"),
        (answer(MANIFEST.encode(), headers=OCI), errors.RegistryInvalid, "layers: Field required"),
        (answer(b"{}", headers={"Content-Type": "text/html"}), errors.RegistryInvalid, "no image's media type"),
        (answer(b"{}", headers={"Content-Type": artifact.INDEX[0]}), errors.RegistryInvalid, "manifests: Field"),
        (
            answer(b'{"mediaType": "m", "manifests": []}', headers={"Content-Type": artifact.INDEX[0]}),
            errors.RegistryInvalid,
            "and it says 'm'",
        ),
        (answer(b"{}", size=9, headers=OCI), errors.RegistryUnreachable, "broke off its answer"),
        (answer(b"{" * (registry.LIMIT + 1), headers=OCI), errors.RegistryInvalid, f"more than {registry.LIMIT}"),
        (answer(b"{}", headers={**OCI, "Content-Encoding": "gzip"}), errors.RegistryUnreachable, "does not answer"),
        (
            answer(gzip.compress(b" " * (200 << 20)), headers={**OCI, "Content-Encoding": "gzip"}),
            errors.RegistryInvalid,
            f"more than {registry.LIMIT}",
        ),
        (answer(b"{}", status=204, headers=OCI), errors.RegistryInvalid, "expected HTTP 200, actual 204"),
        (answer(b"{}", status=500), errors.RegistryUnreachable, "answers 500"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    told: bytes, error: type[errors.SelfdeployError], what: str, home: Path
) -> None:
    with Liar(lambda *_: told) as there:
        log_in(home, there.name, WRONG)

        with pytest.raises(error, match=what) as caught:
            store(there.name).image("1")

        assert_tells_no_secret(caught.value)


def test_other_bytes_than_a_digest_names_are_refused() -> None:
    digest = registry.sha256(b"asked for")
    with Liar(lambda *_: answer(b"{}", headers=OCI)) as there:
        for ask in (store(there.name).manifest, store(there.name).blob):
            with pytest.raises(errors.RegistryInvalid, match=f"expected {digest}, actual sha256:44136fa3"):
                ask(digest)


def test_a_missing_image_is_missing_only_where_a_registry_says_so() -> None:
    with (
        Liar(lambda *_: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as there,
        pytest.raises(errors.RegistryInvalid, match="no registry"),
    ):
        store(there.name).find_record("1")


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nx:", b"HTTP/1.1 200 OK\r\n\r\n", answer(b"", size=1 << 40, headers=OCI)],
)
def test_an_answer_that_comes_drop_by_drop_is_given_up_at_the_deadline(first: bytes) -> None:
    with Liar(lambda *_: there.dribble(first, b"x")) as there:
        began = time.monotonic()

        with pytest.raises(errors.RegistryUnreachable, match="has not answered to the end after 0.5 s"):
            store(there.name, patience=0.5).manifest("1")

        assert time.monotonic() - began < 5


def test_a_redirect_with_a_body_that_never_ends_is_followed_all_the_same() -> None:
    head = b"HTTP/1.1 307 Told\r\nLocation: /elsewhere\r\n\r\n"
    with Liar(lambda asked, _: there.dribble(head, b"x") if asked.startswith("GET /v2/") else answer(b"blob")) as there:
        assert store(there.name, patience=5).blob(registry.sha256(b"blob")) == b"blob"


def test_a_blob_that_never_ends_is_given_up_at_its_limit() -> None:
    with (
        Liar(lambda *_: there.dribble(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (4 << 20))) as there,
        pytest.raises(errors.RegistryInvalid, match=f"more than {registry.LIMIT} bytes"),
    ):
        store(there.name).blob(registry.sha256(b"x"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_is_found_elsewhere_and_the_login_is_not_shown_there(status: int, home: Path) -> None:
    def closed(_: str, headers: Mapping[str, str]) -> bytes:
        if headers.get("authorization") != WRONG.header:
            return answer(status=401, headers={"WWW-Authenticate": "Basic"})
        place = f"http://{elsewhere.name}/bucket?signature=token-of-the-test"
        return answer(status=status, headers={"Location": place, "Set-Cookie": "a=token-of-the-test"})

    with Liar(lambda *_: answer(b"blob")) as elsewhere, Liar(closed) as there:
        log_in(home, there.name, WRONG)

        assert store(there.name).blob(registry.sha256(b"blob")) == b"blob"

        ((asked, headers),) = elsewhere.asked
        assert asked.startswith("GET /bucket")
        assert {"authorization", "cookie"}.isdisjoint(headers)
        assert headers["accept-encoding"] == "identity"


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    needed.need(lab.MISSING)
    ours = Registry(registry.Reference(host="registry.example", repository="team/sf"), scheme="https")

    for location in ("http://registry.example/v2/", "http://elsewhere/"):
        with pytest.raises(errors.RegistryUntrusted, match="from https to http"):
            ours._transport.target("https://registry.example/v2/x", location)  # noqa: SLF001 -- no server for both


def test_what_the_server_writes_is_not_repeated_when_it_may_be_our_password(home: Path) -> None:
    def echo(asked: str, headers: Mapping[str, str]) -> bytes:
        given = headers.get("authorization", "")
        decoded = base64.b64decode(given.removeprefix("Basic ")) if given else b""
        if not given:
            return answer(status=401, headers={"WWW-Authenticate": "Basic"})
        if asked == "GET /v2/":
            return answer(b"{}")
        body = json.dumps({"errors": [{"code": given, "message": decoded.decode()}]}).encode()
        kind = {"Content-Type": decoded.decode(), "Location": f"{decoded.decode()}://{given}"}
        return answer(body, status=400, headers=kind)

    with Liar(echo) as there:
        log_in(home, there.name, WRONG)
        ours = store(there.name)

        for act in (lambda: ours.blob(registry.sha256(b"")), lambda: ours.put_manifest(b"", "m", "1"), ours.may_push):
            with pytest.raises(errors.SelfdeployError) as caught:
                act()
            assert_tells_no_secret(caught.value)


@pytest.mark.parametrize(
    ("told", "error", "what"),
    [
        (answer(status=202), errors.RegistryInvalid, "no address"),
        (answer(status=202, headers={"Location": "ftp://x/"}), errors.RegistryInvalid, "no address"),
        (answer(status=200), errors.RegistryInvalid, "expected HTTP 202, actual 200"),
        (answer(status=507), errors.RegistryUnreachable, "answers 507 to POST"),
    ],
)
def test_an_upload_that_leads_nowhere_is_refused(told: bytes, error: type[errors.SelfdeployError], what: str) -> None:
    with (
        Liar(lambda asked, _: told if asked.startswith("POST") else answer(b"{}")) as there,
        pytest.raises(error, match=what),
    ):
        store(there.name).may_push()
