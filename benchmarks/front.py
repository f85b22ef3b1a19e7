"""Rollouts on a Docker engine under load: `inv rollout` rolling and recreating, `docker compose up`, scaling to two."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gaps import COMPOSE, RECREATE, SCALED, TOOL, Gaps, Phase
from lab import children, load
from lab.children import LabError
from lab.site import Site, call

PROBES = "deadline = 15"
"""How long a bad release is asked before it is refused: the same for every way that waits."""

Rollout = Callable[[str], int]
"""Rolls a revision out and returns an exit code."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A site with releases GOOD (two) and BAD on record, and the image of each revision, by digest."""

    site: Site
    good: tuple[str, str]
    bad: str
    images: Mapping[str, str]

    @property
    def port(self) -> int:
        """The public port of all ways, one after the other."""
        return self.site.ports[0]


def _image(site: Site, revision: str) -> str:
    done = site.inv("manifest", "--revision", revision, "--quiet", "--json")
    return str(json.loads(done.stdout.splitlines()[-1])["image"])


@contextlib.contextmanager
def prepared(folder: Path, say: Callable[[str], None]) -> Iterator[Field]:
    """Give a field, laid out below FOLDER; nothing of it is left on the engine."""
    say("building three releases of the bundled application")
    application = Site(folder=folder / "application", repository=f"127.0.0.1:{children.free_port()}/sf")
    application.folder.mkdir()
    application.lay_out()
    if (done := application.nox()).returncode:
        raise LabError(done.stderr)
    site = Site(folder=folder / "site", repository=application.repository, ship=application.shipped)
    site.folder.mkdir()
    site.lay_out()
    try:
        good = []
        for name in ("one", "two"):
            site.configure(probes=PROBES, test='strategy = "recreate"')
            good.append(site.begin_server(f"{load.ENDPOINTS}// {name}", name))
            if (done := site.inv("release", "--to", "test")).returncode:
                raise LabError(done.stderr)
        bad = site.begin_server(f'{load.ENDPOINTS}process.env.SF_WEB_PROJECT_CWD = "/nowhere";', "never ready")
        if (done := site.inv("release", "--to", "test")).returncode != 51:  # noqa: PLR2004 -- put back
            raise LabError(done.stderr)
        images = {revision: _image(site, revision) for revision in (*good, bad)}
        yield Field(site=site, good=(good[0], good[1]), bad=bad, images=images)
    finally:
        site.close()


def compare(field: Field, rollouts: int, rate: float, say: Callable[[str], None]) -> Gaps:
    """Return how each way did in ROLLOUTS rollouts, forward, back and bad ones in turn, at RATE requests a second."""
    gaps = Gaps()
    rendered = (field.site.folder / ".selfdeploy" / "rendered" / "test" / "compose.yml").read_text()
    with load.Load(field.port, rate=rate) as quiet:
        time.sleep(10)
    gaps.quiet = quiet.silence
    for name, strategy in ((RECREATE, "recreate"), (TOOL, "rolling")):
        field.site.configure(probes=PROBES, test=f'strategy = "{strategy}"')
        _settle(lambda revision: _inv(field, revision), field.good[1])
        _measure(field, gaps, name, rollouts, rate, lambda revision: _inv(field, revision), say)
        if name == TOOL:
            gaps.memory = _memory(field)
    if (done := field.site.inv("down", "-e", "test")).returncode:
        raise LabError(done.stderr)
    for name, roll in ((COMPOSE, _compose_up), (SCALED, _scaled)):
        with roll(field, rendered) as way:
            _settle(way, field.good[1])
            _measure(field, gaps, name, rollouts, rate, way, say)
    return gaps


def _settle(roll: Rollout, revision: str) -> None:
    if roll(revision):
        raise LabError(f"{revision}: not rolled out")


def _measure(
    field: Field, gaps: Gaps, name: str, rollouts: int, rate: float, roll: Rollout, say: Callable[[str], None]
) -> None:
    for number in range(rollouts):
        bad = number % 3 == 2  # noqa: PLR2004 -- forward, back, bad
        revision = field.bad if bad else field.good[number % 3]
        with load.Load(field.port, rate=rate) as steady:
            began = time.monotonic()
            code = roll(revision)
            seconds = time.monotonic() - began
            time.sleep(3)
        if (code and not bad) or (bad and not code and name in {TOOL, RECREATE}):  # others take what is alive
            raise LabError(f"{name}: rollout {number + 1}: exit code {code}")
        phase = Phase(
            seconds=seconds,
            requests=len(steady.answers),
            failed=steady.failures.total(),
            wrong=steady.revisions[field.bad],
            silence=steady.silence,
            refused=code != 0,
        )
        (gaps.ways[name].bad if bad else gaps.ways[name].good).append(phase)
        say(f"{name}: {number + 1} of {rollouts}: {seconds:.1f} s, {phase.failed} of {phase.requests} failed")


def _inv(field: Field, revision: str) -> int:
    if revision == field.bad:
        digest = field.images[revision].rpartition("@")[2]
        field.site.inv("unhold", "-e", "test", "--digest", digest)
    return field.site.inv("rollout", "-e", "test", "--revision", revision, "--older").returncode


def _memory(field: Field) -> float:
    """Return the MiB that the front takes after all that load."""
    front = f"{field.site.name}-t-front-1"
    told = field.site.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", front).stdout
    match = re.match(r"([0-9.]+)([KMG])iB", told)
    if match is None:
        raise LabError(f"docker stats: {told!r}")
    return float(match[1]) * {"K": 1 / 1024, "M": 1, "G": 1024}[match[2]]


@contextlib.contextmanager
def _compose_up(field: Field, rendered: str) -> Iterator[Rollout]:
    """Give the way of most people: `docker compose up --wait`, and back by the same when it fails."""
    file = field.site.folder / "compose.up.yml"
    running: list[str] = []

    def up(revision: str) -> int:
        file.write_text(re.sub(r'(?m)^    image: ".*"$', f'    image: "{field.images[revision]}"', rendered, count=1))
        argv = ["compose", "-f", str(file), "up", "-d", "--wait", "--wait-timeout", "15", "server"]
        code = field.site.docker(*argv).returncode
        if code and running:
            up(running[-1])
        elif not code:
            running.append(revision)
        return code

    yield up
    field.site.docker("compose", "-f", str(file), "down", "--timeout", "1")


SCALE = """
set -eu
old=$(docker ps -q --filter label=com.docker.compose.project=$1 --filter label=com.docker.compose.service=server)
docker compose -f "$2" up -d --no-recreate --scale server=2 --no-deps server
new=$(docker ps -q --filter label=com.docker.compose.project=$1 --filter label=com.docker.compose.service=server |
    grep -v "$old")
for _ in $(seq 150); do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$new")" != healthy ] || break
    sleep 0.1
done
if [ "$(docker inspect --format '{{.State.Health.Status}}' "$new")" != healthy ]; then
    docker rm -f -v "$new"; exit 1
fi
docker stop "$old"; docker rm -v "$old"
"""
"""Scale to two, wait for health, end the old one: what plugins for `docker compose` do."""


@contextlib.contextmanager
def _scaled(field: Field, rendered: str) -> Iterator[Rollout]:
    """Give the way of scaling to two and back, behind a proxy that sends requests to every replica that runs."""
    site, file = field.site, field.site.folder / "compose.scaled.yml"
    project = f"{site.name}-t"
    portless = re.sub(r"(?m)^    ports:\n(?:      .*\n)+", "", rendered).replace("interval: 10s", "interval: 1s")

    def write(revision: str) -> None:
        file.write_text(re.sub(r'(?m)^    image: ".*"$', f'    image: "{field.images[revision]}"', portless, count=1))

    def roll(revision: str) -> int:
        write(revision)
        if not site.docker("ps", "--quiet", "--filter", f"name={project}-server").stdout:
            return site.docker("compose", "-f", str(file), "up", "-d", "--wait", "server").returncode
        (site.folder / "scale.sh").write_text(SCALE)
        argv = ["bash", str(site.folder / "scale.sh"), project, str(file)]
        return call(*argv, cwd=site.folder).returncode

    if roll(field.good[0]):
        raise LabError("docker compose up: the first replica did not start")
    image = site.docker("images", "--format", "{{.Repository}}:{{.Tag}}", "selfdeploy-front").stdout.split()[0]
    argv = ["run", "--detach", "--name", f"{project}-proxy", "--network", f"{project}_default", "--read-only"]
    argv += ["--tmpfs", "/run/front:uid=1000,gid=1000", "--tmpfs", "/state:uid=1000,gid=1000"]
    if (done := site.docker(*argv, "--publish", f"127.0.0.1:{field.port}:4000", image)).returncode:
        raise LabError(done.stderr)
    site.docker("exec", f"{project}-proxy", "/usr/local/bin/front", "switch", "server")
    try:
        yield roll
    finally:
        site.docker("rm", "--force", "--volumes", f"{project}-proxy")
        site.docker("compose", "-f", str(file), "down", "--timeout", "1")
