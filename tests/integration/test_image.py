"""The image: what is in it, on which base, and one that somebody else built."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.site import Site
from selfdeploy import manifest, provenance, registry
from selfdeploy.build import assembly, inspection
from selfdeploy.config import deploy_toml

DOCKERFILE = Path(__file__).parents[2] / "docker" / "Dockerfile.sf-server"


@pytest.fixture(scope="module")
def gated(new_site: Callable[..., Site]) -> Iterator[Site]:
    """A site whose gates have passed, and whose image is built."""
    site = new_site()
    for command in ("gates", "build"):
        done = site.inv(command)
        assert done.returncode == 0, done.stderr
    yield site
    site.docker("rmi", "--force", f"{site.repository}:{site.name}")


def store(site: Site) -> registry.Registry:
    return registry.connect(registry.Reference.parse(site.repository))


def build_elsewhere(site: Site, tmp_path: Path, *, revision: str = "", more: str = "") -> str:
    """Build the gated tree as somebody else would, without our labels, and return the pushed image by digest."""
    base = json.loads(site.inv("base", "--json").stdout.splitlines()[-1])["base"]
    file = tmp_path / "Dockerfile"
    file.write_text(DOCKERFILE.read_text() + more)
    tag = f"{site.repository}:{site.name}"
    label = f"org.opencontainers.image.revision={revision or site.revision}"
    argv = ["build", "--quiet", "--file", str(file), "--tag", tag, "--label", label, "--build-arg", f"BASE={base}"]
    built = site.docker(*argv, str(site.shipped.parents[1]))
    pushed = site.docker("push", "--quiet", tag)
    assert built.returncode == pushed.returncode == 0, built.stderr + pushed.stderr
    found = store(site).manifest(site.name)
    assert found is not None
    return f"{site.repository}@{found[0].digest}"


def test_the_image_has_the_labels_the_user_and_the_command_line_of_the_contract(gated: Site) -> None:
    image = store(gated).image(gated.inv("build").stdout.strip().partition("@")[2])
    assert image is not None
    told = store(gated).config(image.platforms["linux/amd64"].config)["config"]

    assert told["User"] == "1000:1000"
    assert [*told["Entrypoint"], *told["Cmd"]] == ["tini", "--", *inspection.LINE]
    assert told["Labels"]["org.opencontainers.image.revision"] == gated.revision
    assert told["Labels"]["org.opencontainers.image.version"] == "1.0.0"
    assert told["Labels"]["org.opencontainers.image.created"].endswith("Z")
    assert "org.opencontainers.image.source" in told["Labels"]
    assert "@sha256:" in told["Labels"]["org.opencontainers.image.base.name"]


def test_one_gated_tree_makes_one_digest(gated: Site) -> None:
    project = deploy_toml.load(gated.folder)
    made = assembly.Assembly(project)
    tree = made.run_gates()
    before = made.image(tree)

    again = made.build(tree)

    assert before is not None
    assert again.digest == before.digest


def test_equal_trees_of_two_revisions_are_two_images(new_site: Callable[..., Site]) -> None:
    site = new_site()
    revisions = [site.answer_as_another_revision(), site.commit("the same again")]

    for revision in revisions:
        site.git("checkout", "--quiet", "--detach", revision)
        assert site.inv("gates").returncode == 0
        done = site.inv("build")
        assert done.returncode == 0, done.stderr
        image = store(site).image(done.stdout.strip().partition("@")[2])
        assert image is not None
        assert store(site).labels(image)["linux/amd64"][inspection.REVISION] == revision

    trees = {json.loads(file.read_bytes())["tree"] for file in site.folder.glob(".selfdeploy/trees/*/receipt.json")}
    assert len(trees) == 1


def test_a_one_line_commit_pushes_one_layer(new_site: Callable[..., Site]) -> None:
    site = new_site()
    pushed = []
    for place in range(2):
        if place:
            site.begin_server("// one more line", "one line")
        for command in ("gates", "build"):
            done = site.inv(command)
            assert done.returncode == 0, done.stderr
        found = store(site).manifest(done.stdout.strip().partition("@")[2])
        assert found is not None
        pushed.append([layer["digest"] for layer in json.loads(found[1])["layers"]])

    assert len(set(pushed[1]) - set(pushed[0])) == 1


def test_only_what_production_needs_is_in_the_image(gated: Site) -> None:
    names = {path.name for path in (gated.shipped / "node_modules").iterdir()}

    assert "typescript" not in names
    assert "ms" in names
    assert (gated.shipped / "node_modules" / "@sf" / "durations" / "dist" / "index.js").is_file()


def test_an_image_that_somebody_else_built_from_the_same_files_is_taken(gated: Site, tmp_path: Path) -> None:
    reference = build_elsewhere(gated, tmp_path)

    taken = gated.inv("release", "--image", reference, "--to", "test")

    assert taken.returncode == 0, taken.stderr
    assert gated.version("test")["image"] == reference
    assert gated.version("test")["revision"] == gated.revision


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("COPY opt/sf/package.json /opt/sf/dist/loader.js\n", "dist/loader.js"),
        ("COPY opt/sf/package.json /opt/sf/more.json\n", "more.json"),
        ("USER root\n", "runs as root"),
        ('CMD ["node", "/opt/sf/other.js"]\n', "starts"),
    ],
)
def test_a_difference_of_an_image_built_elsewhere_is_named(gated: Site, tmp_path: Path, more: str, said: str) -> None:
    reference = build_elsewhere(gated, tmp_path, more=more)

    refused = gated.inv("build", "--image", reference)

    assert refused.returncode == 33, refused.stderr
    assert said in refused.stderr


def test_an_image_of_another_revision_or_named_by_a_tag_is_refused(gated: Site, tmp_path: Path) -> None:
    other = build_elsewhere(gated, tmp_path, revision="c" * 40)

    refused = gated.inv("build", "--image", other)
    tagged = gated.inv("build", "--image", f"{gated.repository}:{gated.name}")
    elsewhere = gated.inv("build", "--image", other.replace("/sf@", "/other@"))

    assert refused.returncode == 33
    assert f"expected {gated.revision}, actual {'c' * 40}" in refused.stderr
    assert tagged.returncode == 10
    assert elsewhere.returncode == 10


def test_an_accepted_foreign_build_is_recorded_with_its_differences(gated: Site, tmp_path: Path) -> None:
    gated.configure(image="foreign = true")
    gated.commit("a foreign build")
    assert gated.inv("gates").returncode == 0
    reference = build_elsewhere(gated, tmp_path, more="COPY opt/sf/package.json /opt/sf/more.json\n")

    steps = [gated.inv("build", "--image", reference), gated.inv("manifest")]
    record = store(gated).find_record(gated.revision)
    another = tmp_path / "another"
    another.mkdir()
    other = build_elsewhere(gated, another, more="COPY opt/sf/package.json /opt/sf/other.json\n")
    steps += [gated.inv("build", "--image", other), gated.inv("manifest", "--image", other)]
    newer = store(gated).find_record(gated.revision)
    gated.configure()

    assert [step.returncode for step in steps] == [0, 0, 0, 0], [step.stderr for step in steps]
    assert record is not None
    assert provenance.decode(record.evidence)["foreign"] == {"linux/amd64": ["more.json: only in the image"]}
    assert newer is not None
    assert manifest.parse(newer.manifest).image.reference == other
    assert steps[0].stdout.strip() == reference


def test_a_base_image_is_named_by_digest_and_has_to_start_node_by_tini(gated: Site, tmp_path: Path) -> None:
    good = json.loads(gated.inv("base", "--json").stdout.splitlines()[-1])["base"]
    name = f"{gated.repository}-{gated.name}"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    gated.docker("build", "--quiet", "--tag", name, str(tmp_path))
    gated.docker("push", "--quiet", name)
    bad = gated.docker("inspect", "--format", "{{index .RepoDigests 0}}", name).stdout.strip()

    outcomes = []
    for base in (good, bad, f"{name}:latest"):
        gated.configure(image=f'base = "{base}"')
        gated.commit(base)
        gated.inv("gates")
        outcomes.append(gated.inv("build"))
    gated.configure()
    gated.docker("rmi", "--force", name)

    assert [done.returncode for done in outcomes] == [0, 32, 10], [done.stderr for done in outcomes]
    assert "does not start node by tini" in outcomes[1].stderr


def test_a_release_on_another_base_is_another_image_and_another_record(gated: Site, tmp_path: Path) -> None:
    first = json.loads(gated.inv("base", "--json").stdout.splitlines()[-1])["base"]
    name = f"{gated.repository}-{gated.name}"
    (tmp_path / "Dockerfile").write_text(f"FROM {first}\nLABEL patched=yes\n")
    gated.docker("build", "--quiet", "--tag", name, str(tmp_path))
    gated.docker("push", "--quiet", name)
    second = gated.docker("inspect", "--format", "{{index .RepoDigests 0}}", name).stdout.strip()
    gated.commit("on two bases")
    gated.inv("gates")
    made, on_record = [], []

    for base in (first, second, first):
        gated.configure(image=f'base = "{base}"')
        planned = gated.inv("plan").stdout
        steps = [gated.inv("build"), gated.inv("manifest")]
        record = store(gated).find_record(gated.revision)
        assert [step.returncode for step in steps] == [0, 0], [step.stderr for step in steps]
        assert "manifest   to do" in planned
        assert record is not None
        made.append(steps[0].stdout.strip())
        on_record.append(provenance.decode(record.evidence)["base"]["linux/amd64"])
    adopted = gated.inv("build", "--image", made[1])
    gated.configure()
    gated.docker("rmi", "--force", name)

    assert on_record == [first, second, first]
    assert made[0] == made[2] != made[1]
    assert adopted.returncode == 33
    assert f"expected {first}, actual {second}" in adopted.stderr


def test_the_image_runs_without_a_network_and_without_writing_anywhere_but_home(gated: Site) -> None:
    gated.inv("gates")
    reference = gated.inv("build").stdout.strip()
    argv = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", reference]

    version = gated.docker(*argv, "node", "/opt/sf/dist/loader.js", "version")
    written = gated.docker(*argv, "sh", "-c", "touch /opt/sf/x || touch /workspace/x")

    assert gated.revision in version.stdout
    assert written.returncode != 0
