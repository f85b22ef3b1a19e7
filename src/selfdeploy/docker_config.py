"""Docker's config.json without its `proxies`, which would go into every container that is made.

The engine's command puts them into the environment of what it creates, and Compose does the same: two machines would
make two servers of one release, and no hash would say so. Logins, contexts, plugins and credential helpers stay.
"""

import functools
import hashlib
import json
import os
from pathlib import Path

NAME = "config.json"


def find(given: str, home: Path | None) -> Path | None:
    """Return the folder of Docker's config: DOCKER_CONFIG's value, GIVEN, or the one in HOME; None without both."""
    if given:
        return Path(given).absolute()
    return home / ".docker" if home else None


def without_proxies(folder: Path) -> str | None:
    """Return the config in FOLDER without its proxies; None where docker can take it as it is."""
    try:
        config = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):  # docker says what is wrong with it
        return None
    # Go's JSON takes a key in any case.
    kept = {key: value for key, value in config.items() if key.lower() != "proxies"} if _is_object(config) else config
    return None if kept == config else json.dumps(kept)


def _is_object(config: object) -> bool:
    return isinstance(config, dict)


def shadow(folder: Path, text: str, place: Path) -> Path:
    """Return a folder below PLACE that is FOLDER with TEXT for a config.json; called again, the same.

    The text is in memory only, for it may hold logins: a link leads there, and to nothing once this process is gone.
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
    """Return a path at which this process's children read TEXT."""
    handle = os.memfd_create("docker-config", 0)  # survives our becoming another program
    with os.fdopen(os.dup(handle), "wb") as memory:
        memory.write(text.encode())
    return f"/proc/{os.getpid()}/fd/{handle}"
