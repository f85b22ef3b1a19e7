"""npm's signatures: a release is refused where those of the installed packages do not hold."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import npm_registry
from lab.npm_registry import NpmRegistry
from lab.site import Site


@pytest.fixture(scope="module")
def registry(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NpmRegistry]:
    """A registry with `ms`, which the application needs, and a package `sf-lab`."""
    folder = tmp_path_factory.mktemp("sf-lab")
    (folder / "package.json").write_text(json.dumps({"name": "sf-lab", "version": "1.0.0"}))
    with npm_registry.serving() as served:
        served.add(ship / "node_modules" / "ms")
        served.add(folder)
        yield served


@pytest.fixture(scope="module")
def own(new_site: Callable[..., Site], registry: NpmRegistry) -> Site:
    """A site that installs the packages of the registry by npm, and releases nothing."""
    made = new_site()
    folder = made.folder / "sf"
    package, lock = (json.loads((folder / file).read_bytes()) for file in ("package.json", "package-lock.json"))
    kept = {place: entry for place, entry in lock["packages"].items() if "durations" in place or not place}
    kept[""]["devDependencies"] = package["devDependencies"] = {"sf-lab": "1.0.0"}
    kept["node_modules/ms"] = registry.locked("ms")
    kept["node_modules/sf-lab"] = {**registry.locked("sf-lab"), "dev": True}
    (folder / "package.json").write_text(json.dumps(package))
    (folder / "package-lock.json").write_text(json.dumps({**lock, "packages": kept}))
    (folder / ".npmrc").write_text(f"registry={registry.url}\n")
    (made.folder / "no-sigstore.cjs").write_text(npm_registry.NO_SIGSTORE)
    made.commit("packages of a registry")
    return made


def settle(site: Site, **keys: object) -> None:
    """Write deploy.toml with the real `npm ci`, and KEYS of [gates]."""
    told = "\n".join(f"{name} = {json.dumps(value)}" for name, value in keys.items())
    option = json.dumps(f"--require {site.folder}/no-sigstore.cjs")
    site.configure(top=f"[gates]\n{told}\n[gates.variables]\nNODE_OPTIONS = {option}\n")
    file = site.folder / "deploy.toml"
    quick = f'["cp", "-a", "{site.ship}/node_modules", "."]'
    assert quick in file.read_text()
    file.write_text(file.read_text().replace(quick, '["npm", "ci"]'))


def audited(site: Site) -> dict[str, object]:
    told = json.loads((site.shipped.parents[2] / "receipt.json").read_bytes())["contents"]["signatures"]
    assert isinstance(told, dict)
    return told


def test_packages_that_their_registry_signed_pass(own: Site) -> None:
    settle(own)

    done = own.inv("gates")

    assert done.returncode == 0, done.stderr
    assert "npm's signatures in .: valid" in done.stderr
    assert audited(own) == {"asked": True, "folders": {".": "valid"}}


def test_a_changed_signature_is_refused_until_the_audit_is_off(own: Site, registry: NpmRegistry) -> None:
    settle(own)
    good = registry.signatures["sf-lab"]
    registry.sign("sf-lab", "sha512-of-something-else")

    refused = own.inv("release", "--to", "test", "--fresh")
    settle(own, audit_signatures=False)
    done, planned = own.inv("gates"), own.inv("plan")
    off = audited(own)
    settle(own)
    asked = own.inv("plan")

    registry.signatures["sf-lab"] = good
    assert refused.returncode == 58, refused.stderr
    assert "sf-lab@1.0.0" in refused.stderr
    assert "invalid signature" in refused.stderr
    assert "1 without a valid signature" in refused.stderr
    assert "gates.audit_signatures = false" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert own.inspect("test") == {}
    assert done.returncode == 0, done.stderr
    assert "npm-ci" in next(line for line in done.stderr.splitlines() if "passed before" in line)
    assert off["asked"] is False
    assert "npm's signatures are not audited" in next(line for line in planned.stdout.splitlines() if "gates" in line)
    assert "to do" in next(line for line in asked.stdout.splitlines() if "gates" in line)


def test_a_registry_without_keys_has_nothing_to_audit(own: Site, registry: NpmRegistry) -> None:
    settle(own)
    registry.offers = False

    done = own.inv("gates")

    registry.offers = True
    assert done.returncode == 0, done.stderr
    assert "npm's signatures in .: none offered by http://127.0.0.1:" in done.stderr
