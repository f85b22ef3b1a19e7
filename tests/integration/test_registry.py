"""Registries as they are: open, closed, behind certificates, and stopped."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import client, needed
from lab import registry as lab
from lab.client import CI, CLOSED, a_record, log_in, store, trust
from selfdeploy import errors, registry
from selfdeploy.registry import Registry


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


@pytest.fixture
def here() -> Iterator[lab.Registry]:
    needed.need(lab.MISSING)
    with lab.Registry() as running:
        yield running


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
        with pytest.raises(errors.RegistryInvalid, match="is not an OCI registry") as caught:
            store(there.name).ping()

        assert "https" in caught.value.hint


def test_a_registry_that_speaks_no_tls_is_told_from_one_that_is_not_there(here: lab.Registry) -> None:
    plain = Registry(registry.Reference(host=here.name, repository="team/sf"), scheme="https")

    with pytest.raises(errors.RegistryUnreachable, match="does not speak TLS"):
        plain.ping()


def test_a_registry_that_is_stopped_is_unreachable_and_one_that_is_back_is_not(here: lab.Registry) -> None:
    ours = store(here.name)
    ours.ping()
    here.stop()

    with pytest.raises(errors.RegistryUnreachable, match="does not answer"):
        ours.ping()
    here.start()

    ours.ping()


def test_who_pushes_to_one_tag_at_the_same_time_is_told_of_no_loss(here: lab.Registry) -> None:
    a_record(store(here.name))  # its parts are there
    kind = "application/vnd.oci.image.index.v1+json"

    def push(number: int) -> None:
        told = {"schemaVersion": 2, "mediaType": kind, "manifests": [], "annotations": {"number": str(number)}}
        store(here.name).put_manifest(json.dumps(told).encode(), kind, "release")

    with ThreadPoolExecutor(4) as machines:
        list(machines.map(push, range(100)))

    found = store(here.name).manifest("release")
    assert found is not None
    assert found[0].media_type == kind
