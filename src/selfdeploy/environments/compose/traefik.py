"""The site's own Traefik as the front: a file in its file provider's volume names the live replica."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfdeploy import errors
from selfdeploy.engine import Engine, volumes
from selfdeploy.environments.compose.front import NOBODY

NAMED = "name the one that Traefik has; docs/compose.md shows how"

ADDRESS = re.compile(r"http://([A-Za-z0-9][A-Za-z0-9_.-]*):4000")


@dataclass(frozen=True, kw_only=True)
class Traefik:
    """The router and service of one environment, OWNER, in the site's Traefik.

    SETTINGS are deploy.toml's (`network`, `volume`, `rule`, `entrypoints`, `tls`, `resolver`). IMAGE is on the engine
    and has node and cat. Traefik loads the file as a whole, so it switches in one step.
    """

    engine: Engine
    owner: str
    settings: Mapping[str, Any]
    image: str

    @property
    def title(self) -> str:
        """Return its kind and the place of its file."""
        return f"Traefik, {self._file} in the volume {self._volume}"

    @property
    def is_placed(self) -> bool:
        """Whether the file has these settings, with any live replica."""
        live = self.live()
        return bool(live) and self._read() == self._content(live)

    def live(self) -> str:
        """Return the replica named in the file; empty if there is no such file."""
        try:
            servers = json.loads(self._read())["http"]["services"][self.owner]["loadBalancer"]["servers"]
            match = ADDRESS.fullmatch(servers[0]["url"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
        return match[1] if match and match[1] != NOBODY else ""

    def missing(self) -> str:
        """Return a message if the engine lacks the site's volume or network; empty if it has both."""
        for kind in ("volume", "network"):
            name = str(self.settings[kind])
            if self.engine.run(kind, "inspect", name, check=False).code:
                where = f"deploy.toml: environments.{self.engine.name}.traefik.{kind}"
                return f"{where}: the engine has no {kind} {name!r}"
        return ""

    def place(self) -> None:
        """Raise `errors.CommandFailed` unless the volume and the network exist."""
        if why := self.missing():
            raise errors.CommandFailed(why, NAMED)

    def switch(self, replica: str) -> None:
        """Write the file that names REPLICA; Traefik loads it within its throttle (two seconds by default)."""
        content = self._content(replica)
        written = volumes.write(self.engine, self.image, self.owner, self._volume, self._file, content)
        if written != content:
            raise errors.CommandFailed(f"{self.engine.name}: {self._volume}: {self._file} was not written", "")

    def keep(self) -> None:
        """Do nothing: the file stays as it is."""

    def remove(self) -> None:
        """Remove the file: Traefik answers 404 from then on."""
        if self.engine.describe("volume", self._volume) is not None:
            volumes.remove(self.engine, self.image, self.owner, self._volume, self._file)

    @property
    def _volume(self) -> str:
        return str(self.settings["volume"])

    @property
    def _file(self) -> str:
        return f"{self.owner}.yml"

    def _read(self) -> bytes:
        if self.engine.describe("volume", self._volume) is None:
            return b""
        return volumes.read(self.engine, self.image, self.owner, self._volume, self._file).stdout

    def _content(self, replica: str) -> bytes:
        """Return the dynamic configuration that sends requests to REPLICA; it is JSON, which is YAML, too."""
        router: dict[str, Any] = {"rule": self.settings["rule"], "service": self.owner}
        if self.settings.get("entrypoints"):
            router["entryPoints"] = list(self.settings["entrypoints"])
        if self.settings.get("tls"):
            resolver = self.settings.get("resolver")
            router["tls"] = {"certResolver": resolver} if resolver else {}
        service = {"loadBalancer": {"servers": [{"url": f"http://{replica}:4000"}]}}
        http = {"routers": {self.owner: router}, "services": {self.owner: service}}
        return json.dumps({"http": http}, indent=2, sort_keys=True).encode()
