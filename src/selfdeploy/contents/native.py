"""The shipped native modules: each one for the gates' platform has to load."""

import json
import os
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from selfdeploy import errors, process

MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40, "i686": 3, "ppc64le": 21, "s390x": 22, "riscv64": 243}
"""The `e_machine` of ELF headers by what `uname -m` prints. Source: the System V ABI's list of machines."""

MACH_O = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
MUSL = (b"libc.musl-", b"ld-musl-")
OS_ABI = (0, 3)
"""`EI_OSABI` of an ELF header for Linux: System V (what most compilers write) and GNU/Linux."""
OTHER_SYSTEMS = (b"OpenBSD\0", b"NetBSD\0")
"""Owners of ELF notes on other systems with modules that have System V's `EI_OSABI`."""
TESTS = frozenset({"test", "tests", "__tests__", "fixtures", "__fixtures__", "spec"})
HEADER = 20
"""Bytes of an ELF header, up to and including the machine."""

PIECE = 1 << 20
"""Bytes of a module to read at once."""

TIMEOUT = 120.0
"""Seconds for all modules together; each module adds a second."""

LOAD = """
const { spawnSync } = require("node:child_process");
const failed = {};
for (const file of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
  const code = "process.dlopen({ exports: {} }, process.argv[1]); process.exit(0)";
  const options = { encoding: "utf8", timeout: 30000 };
  const { status, signal, stderr } = spawnSync(process.execPath, ["-e", code, file], options);
  const said = /^\\w*Error.*/m.exec(stderr ?? "")?.[0] ?? (stderr ?? "").trim().split("\\n").at(-1);
  if (status !== 0) failed[file] = said || `ended with ${signal ?? `exit code ${status}`}`;
}
console.log(JSON.stringify(failed));
"""
"""Loads each file in its own process, so that a crashing module is named."""


def load(ship: Path, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Load the native modules below SHIP for this platform; return all modules, as `loaded` and `skipped`.

    A module in `prebuilds/`, the folder with one for each platform and Node version, may fail to load if another one of
    its package loads.

    Raises:
        errors.ContentsIncomplete: modules do not load; the message names all, with node's error.
    """
    found = sorted(_find(ship))
    fit = [path for path in found if is_for_this_platform(ship, path)]
    if not fit:
        return {"loaded": [], "skipped": found}
    outcome = process.run(
        ["node", "-e", LOAD],
        timeout=TIMEOUT + len(fit),
        env=environment,
        cwd=ship,
        stdin=json.dumps([f"{ship}/{path}" for path in fit]),
    )
    failed = {path.removeprefix(f"{ship}/"): why for path, why in json.loads(outcome.text).items()}
    loaded = [path for path in fit if path not in failed]
    wrong = {path: why for path, why in failed.items() if not has_another(path, loaded)}
    if wrong:
        raise errors.ContentsIncomplete(
            "\n".join(f"{path}: does not load: {why}" for path, why in wrong.items()),
            "a native module is built by its package's install script; look at the logs of npm-ci and web-npm-ci",
        )
    return {"loaded": loaded, "skipped": [path for path in found if path not in loaded]}


def _find(ship: Path) -> Iterator[str]:
    queue = [""]
    while queue:
        folder = queue.pop()
        with os.scandir(ship / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    queue.append(path)
                elif entry.name.endswith(".node") and entry.is_file(follow_symlinks=False):
                    yield path


def is_for_this_platform(ship: Path, path: str) -> bool:
    """Return True unless the module PATH is for another system, machine or C library, or is a test's own file."""
    if (ship / path).stat().st_size < HEADER:
        return not TESTS & set(PurePosixPath(path).parts)
    with (ship / path).open("rb") as file:
        header = file.read(HEADER)
        if header[:4] in MACH_O or header[:2] == b"MZ":
            return False
        if header[:4] != b"\x7fELF":
            return not TESTS & set(PurePosixPath(path).parts)
        machine = int.from_bytes(header[18:20], "big" if header[5:6] == b"\x02" else "little")
        marks = _search(file, (*OTHER_SYSTEMS, *MUSL)) if header[7] in OS_ABI else set(OTHER_SYSTEMS)
    if marks & set(OTHER_SYSTEMS):
        return False
    musl = bool(marks & set(MUSL))
    return machine == MACHINES.get(platform.machine(), machine) and musl == (platform.libc_ver()[0] != "glibc")


def _search(file: BinaryIO, marks: Collection[bytes]) -> set[bytes]:
    """Return the MARKS found in FILE, read piece by piece: some modules are large (78 MB seen)."""
    found, overlap, rest = set[bytes](), max(len(mark) for mark in marks) - 1, b""
    file.seek(0)
    while data := file.read(PIECE):
        piece = rest + data
        found |= {mark for mark in marks if mark in piece}
        rest = piece[-overlap:]
    return found


def has_another(path: str, loaded: Iterable[str]) -> bool:
    """Return True if PATH is in `prebuilds/` and one of the modules LOADED is of the same package."""
    package, prebuilds, _ = path.partition("prebuilds/")
    return bool(prebuilds) and any(other.startswith(package) for other in loaded)
