"""From the gates to what ships: the evidence of it, and releases that are refused before there is an image."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.site import Done, Site
from selfdeploy import registry

LINK = 'import { symlinkSync as leave } from "node:fs";\nleave("/etc/passwd", "dist/users");\n'
LOSE = 'import { rmSync as lose } from "node:fs";\nlose("node_modules/ms", { recursive: true });\n'


def store(site: Site) -> registry.Registry:
    return registry.connect(registry.Reference.parse(site.repository))


@pytest.fixture(scope="module")
def own(new_site: Callable[..., Site]) -> Site:
    """A site that releases nothing: its gates alone run."""
    return new_site()


def test_the_application_ships_as_its_build_left_it_and_the_evidence_says_how(whole: tuple[Site, Done]) -> None:
    site, done = whole
    ship = site.shipped
    evidence = json.loads((site.folder / ".selfdeploy" / "evidence" / f"{site.revision}.json").read_bytes())

    assert done.returncode == 0, done.stderr
    assert evidence["contents"]["smoke"]["started"] is True
    assert evidence["contents"]["required"] >= 3
    link = ship / "dist/web/standalone/node_modules/@sf/durations"
    assert [note for note in evidence["contents"]["notes"] if "@sf/durations: a link to /" in note]
    assert str(link.readlink()) == "../../../../../packages/durations"
    assert (link / "dist/index.js").is_file()
    assert not (link / "src").exists()
    assert str((ship / "dist/sf.js").readlink()) == "loader.js"
    assert site.version("test")["revision"] == site.revision


def test_the_sbom_of_an_unsigned_release_has_the_packages_of_the_web_host(whole: tuple[Site, Done]) -> None:
    site, _ = whole

    done = site.inv("sbom", "--quiet")

    assert done.returncode == 0, done.stderr
    names = {each["purl"].partition("@")[0] for each in json.loads(done.stdout)["components"] if "purl" in each}
    assert names >= {"pkg:npm/ms", "pkg:npm/next", "pkg:npm/react", "pkg:deb/debian/tini"}
    assert "pkg:npm/typescript" not in names


def test_a_server_that_cannot_start_is_refused_before_the_registry_hears_of_it(own: Site) -> None:
    revision = own.begin_server("console.error('no database'); process.exit(3);", "cannot start")

    refused = own.inv("release", "--to", "test")

    assert refused.returncode == 27, refused.stderr
    assert "the staged server does not start" in refused.stderr
    assert "no database" in refused.stderr
    assert "smoke: the server ended with exit code 3" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert store(own).find_record(revision) is None
    assert own.inspect("test") == {}


def test_the_smoke_server_starts_with_the_first_environment_s_variables(own: Site) -> None:
    own.begin_server("if (process.env.SF_REGION !== 'eu') throw new Error('no SF_REGION');", "needs a variable")
    own.configure(prod='variables = {SF_REGION = "eu"}')

    without = own.inv("gates")
    own.configure(test='variables = {SF_REGION = "eu"}')
    given = own.inv("gates")

    own.configure()
    receipt = json.loads((own.shipped.parents[2] / "receipt.json").read_bytes())
    assert without.returncode == 27, without.stderr
    assert "no SF_REGION" in without.stderr
    assert "gates.smoke_variables in deploy.toml adds variables" in without.stderr
    assert given.returncode == 0, given.stderr
    assert "test-unit passed before" in given.stderr
    assert receipt["contents"]["smoke"]["variables"] == ["SF_REGION"]


def test_a_smoke_that_is_off_is_said_to_be_off(own: Site) -> None:
    own.configure(top='[gates]\nsmoke = "off"\n')

    done = own.inv("gates")

    own.configure()
    receipt = json.loads((own.shipped.parents[2] / "receipt.json").read_bytes())
    assert done.returncode == 0, done.stderr
    assert "gates: smoke not run: gates.smoke is off" in done.stderr
    assert receipt["contents"]["smoke"] == {"started": False, "why": "gates.smoke is off"}


def test_a_link_that_leads_out_is_refused_right_after_its_gate(own: Site) -> None:
    own.begin_server("", "starts again")
    stamp = own.folder / "sf" / "scripts" / "stamp.mjs"
    stamp.write_text(LINK + stamp.read_text())
    own.commit("links to this machine")

    refused = own.inv("gates")

    assert refused.returncode == 22, refused.stderr
    assert "after gate build-core: dist/users: a link to /etc/passwd, which leads out of the tree" in refused.stderr
    assert "gate test-unit passed" not in refused.stderr


def test_a_production_package_that_a_gate_removes_is_missed(own: Site) -> None:
    stamp = own.folder / "sf" / "scripts" / "stamp.mjs"
    text = stamp.read_text().removeprefix(LINK)
    stamp.write_text(LOSE + text)
    own.commit("loses a package")
    own.configure(top='[gates.override.test-unit]\ncommand = ["sh", "-c", "echo \'# pass 1\'"]\n')

    refused = own.inv("gates")

    own.configure()
    assert refused.returncode == 26, refused.stderr
    assert "node_modules/ms: required by the lock file, and missing" in refused.stderr


def test_foreign_true_does_not_accept_an_image_without_a_package(new_site: Callable[..., Site], tmp_path: Path) -> None:
    site = new_site()
    site.configure(image="foreign = true")
    assert site.inv("gates").returncode == 0
    base = json.loads(site.inv("base", "--json").stdout.splitlines()[-1])["base"]
    tag = f"{site.repository}:{site.name}"
    label = f"org.opencontainers.image.revision={site.revision}"
    root = Path(__file__).parents[2] / "docker" / "Dockerfile.sf-server"
    (tmp_path / "Dockerfile").write_text(
        f"{root.read_text()}USER root\nRUN rm -r /opt/sf/node_modules/ms /opt/sf/dist/loader.js\nUSER 1000:1000\n"
    )
    argv = ["build", "--quiet", "--file", str(tmp_path / "Dockerfile"), "--tag", tag, "--label", label]
    built = site.docker(*argv, "--build-arg", f"BASE={base}", str(site.shipped.parents[1]))
    pushed = site.docker("push", "--quiet", tag)
    assert built.returncode == pushed.returncode == 0, built.stderr + pushed.stderr
    found = store(site).manifest(site.name)
    assert found is not None

    refused = site.inv("build", "--image", f"{site.repository}@{found[0].digest}")
    site.docker("rmi", "--force", tag)

    assert refused.returncode == 33, refused.stderr
    assert "dist/loader.js: missing in the image" in refused.stderr
    assert "node_modules/ms/package.json: missing in the image" in refused.stderr
