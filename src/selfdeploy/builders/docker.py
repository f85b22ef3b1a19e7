"""The Docker builder: buildx on the local engine, pushed by it."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import python_on_whales
from python_on_whales.exceptions import DockerException

from selfdeploy import errors, process


@dataclass(frozen=True, kw_only=True)
class Docker:
    """Builds with the engine of this machine, each call under TIMEOUT seconds."""

    dockerfile: Path
    base: str
    timeout: float

    def push(self, ship: Path, reference: str, labels: dict[str, str], epoch: int) -> None:
        """Build SHIP and push it to REFERENCE, a repository and tag; the caller asks the registry for the digest.

        Raises:
            errors.BuildFailed: the build or the push failed; the end of what buildx said is the hint.
        """
        client = python_on_whales.DockerClient(client_call=[*process.guard(self.timeout), "docker"])
        created = datetime.datetime.fromtimestamp(epoch, datetime.UTC).isoformat().replace("+00:00", "Z")
        try:
            client.buildx.build(
                ship,
                file=self.dockerfile,
                build_args={"BASE": self.base, "SOURCE_DATE_EPOCH": str(epoch)},
                labels={**labels, "org.opencontainers.image.created": created},
                tags=reference,
                provenance=False,
                load=True,
                progress=False,
            )
            client.image.push(reference, quiet=True)
        except DockerException as exc:
            tail = "\n".join((exc.stderr or "").strip().splitlines()[-15:])
            raise errors.BuildFailed(f"{reference}: the image was not built and pushed", tail or str(exc)) from exc
