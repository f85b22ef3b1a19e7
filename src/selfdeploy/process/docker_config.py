"""Docker's config.json without its `proxies`, which would go into every new container.

The docker command and Compose put them into the environment of each container they create: two machines would make two
different servers of one release, and no hash would show it. Logins, contexts, plugins and credential helpers stay.
"""

import functools
import hashlib
import json
import os
from pathlib import Path

NAME = "config.json"


def find(given: str, home: Path | None) -> Path | None:
    """Return Docker's config folder: GIVEN, the value of DOCKER_CONFIG, or else the one in HOME; None without both."""
    if given:
        return Path(given).absolute()
    return home / ".docker" if home else None


def without_proxies(folder: Path) -> str | None:
    """Return the config in FOLDER without its proxies; None if docker can use the file unchanged."""
    try:
        config = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):  # docker reports the error
        return None
    # Go's JSON accepts a key in any case.
    kept = {key: value for key, value in config.items() if key.lower() != "proxies"} if _is_object(config) else config
    return None if kept == config else json.dumps(kept)


def _is_object(config: object) -> bool:
    return isinstance(config, dict)


def shadow(folder: Path, text: str, place: Path) -> Path:
    """Return a copy of FOLDER below PLACE, with TEXT as its config.json; equal arguments give the same folder.

    TEXT stays in memory, since it may hold logins: config.json is a link to it, broken once this process is gone.
    """
    name = hashlib.sha256(f"{folder}\0{text}".encode()).hexdigest()[:16]
    made = place / f"docker-{name}"
    if not made.exists():
        made.mkdir(mode=0o700)
        for entry in folder.iterdir():
            if entry.name != NAME:
                (made / entry.name).symlink_to(entry)
        (made / NAME).symlink_to(_hold(text))
    return made


@functools.cache
def _hold(text: str) -> str:
    """Return a path at which this process's children can read TEXT."""
    handle = os.memfd_create("docker-config", 0)  # without close-on-exec: it survives `process.become`
    with os.fdopen(os.dup(handle), "wb") as memory:
        memory.write(text.encode())
    return f"/proc/{os.getpid()}/fd/{handle}"
