"""Make an application of the real one's size, from nothing but a seed: `python -m benchmarks.application --help`.

FOLDER/sf becomes a checkout, FOLDER/made what its gates leave, a folder a gate. At scale 1 the gated export has about
190,000 paths and 2.3 GB, and 40,000 files of it (720 MB) ship: packages of production and of development, a web host
with packages of its own, native modules, links within and between packages.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selfdeploy import process

GATES = ("npm-ci", "web-npm-ci", "build-core", "build-web-host", "typecheck", "test-unit")
LOADER = b"""\
const { createServer } = require("node:http");
createServer((_, response) => response.end("{}")).listen(Number(process.env.SF_WEB_PORT ?? 4000));
"""
"""A server that answers: before a tree ships it is started once."""

LINE = "src/line.js"
"""The source file that a one-line commit changes."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """FILES files of BYTES bytes in all below FOLDER, which GATE leaves, in packages of about SIZE files."""

    gate: str
    folder: str
    files: int
    bytes: int
    size: int = 55
    prefix: str = "p"
    natives: int = 0


MB = 1_000_000
PARTS = (
    Part(gate="npm-ci", folder="node_modules", files=24_000, bytes=400 * MB, natives=10),
    Part(gate="npm-ci", folder="node_modules", files=58_000, bytes=600 * MB, prefix="d"),
    Part(gate="web-npm-ci", folder="web/node_modules", files=54_000, bytes=580 * MB, prefix="w"),
    Part(gate="build-core", folder="dist", files=6_000, bytes=90 * MB, prefix="m"),
    Part(gate="build-core", folder="packages", files=3_600, bytes=60 * MB, size=450, prefix="k"),
    Part(gate="build-web-host", folder="web/.next", files=6_000, bytes=240 * MB, prefix="c"),
    Part(gate="build-web-host", folder="dist/web/standalone/node_modules", files=6_000, bytes=110 * MB, natives=2),
    Part(gate="build-web-host", folder="dist/web/standalone/.next", files=400, bytes=30 * MB, prefix="s"),
    Part(gate="test-unit", folder="dist-test", files=12_000, bytes=150 * MB, size=200, prefix="t"),
)
SOURCES = Part(gate="", folder="src", files=3_000, bytes=30 * MB, size=60, prefix="f")


@dataclass(kw_only=True)
class Maker:
    """Writes files whose names, sizes and bytes follow from SEED."""

    seed: int
    scale: float
    _pool: bytes = field(default=b"", repr=False)
    _module: bytes = field(default=b"", repr=False)

    def make(self, folder: Path) -> None:
        """Write the checkout and what each gate leaves below FOLDER, which must not exist."""
        self._pool = _text(random.Random(self.seed), 8 * MB)  # noqa: S311 -- it has to be the same again
        self._module = _native_module()
        for gate in GATES:
            (folder / "made" / gate).mkdir(parents=True)
        packages = {part.folder + part.prefix: self._write(folder / "made" / part.gate, part) for part in PARTS}
        self._write(folder / "sf", SOURCES)
        self._link(folder / "made", packages)
        self._describe(folder / "sf", packages)
        _write(folder / "made" / "build-core" / "dist" / "loader.js", LOADER)

    def _write(self, root: Path, part: Part) -> list[str]:
        """Write PART below ROOT and return its packages' names."""
        dice = random.Random(f"{self.seed} {part.folder} {part.prefix}")  # noqa: S311
        files = max(2, round(part.files * self.scale))
        mean, names = part.bytes / part.files, list[str]()
        native = {round(place * files / (part.natives + 1)) for place in range(1, part.natives + 1)}
        left = 0
        for place in range(files):
            if not left:
                names.append(f"{part.prefix}{len(names):04d}")
                left = max(2, round(dice.gauss(part.size, part.size / 3)))
                _write(root / part.folder / names[-1] / "package.json", json.dumps(_package(names[-1])).encode())
            depth = dice.choice((("lib",), ("lib", "esm"), ("lib", "cjs"), ("types",), ()))
            path = Path(root, part.folder, names[-1], *depth, f"f{place:06d}.js")
            if place in native:
                padding = dice.randbytes(round(6 * MB * min(1, self.scale)))
                _write(path.with_suffix(".node"), self._module + padding, mode=0o755)
            else:
                _write(
                    path, self._content(dice, str(path.relative_to(root)), mean - 6 * MB * part.natives / part.files)
                )
            left -= 1
        return names

    def _content(self, dice: random.Random, name: str, mean: float) -> bytes:
        size = min(int(dice.expovariate(1 / max(mean, 100))) + 20, 2 * MB)
        start = dice.randrange(len(self._pool) - size)
        return f"// {name}\n".encode() + self._pool[start : start + size]

    @staticmethod
    def _link(made: Path, packages: Mapping[str, list[str]]) -> None:
        """Make the links: programs of packages, workspaces among them, and the web host's own."""
        modules = made / "npm-ci" / "node_modules"
        (modules / ".bin").mkdir()
        for name in packages["node_modulesp"][::4]:
            (modules / ".bin" / name).symlink_to(f"../{name}/package.json")
        (modules / "@app").mkdir()
        for name in packages["packagesk"]:
            (modules / "@app" / name).symlink_to(f"../../packages/{name}")
            _write(
                made / "build-core" / "packages" / name / "package.json", json.dumps(_package(f"@app/{name}")).encode()
            )
        host = made / "build-web-host" / "dist/web/standalone/node_modules"
        (host / "@app").mkdir()
        (host / "@app" / "first").symlink_to("../p0000")

    @staticmethod
    def _describe(checkout: Path, packages: Mapping[str, list[str]]) -> None:
        """Write what npm and the gates read of the CHECKOUT."""
        production, development = packages["node_modulesp"], packages["node_modulesd"]
        workspaces = packages["packagesk"]
        top = {
            **_package("size"),
            "files": ["dist", "packages"],
            "workspaces": ["packages/*"],
            "dependencies": dict.fromkeys(production, "1.0.0"),
            "devDependencies": dict.fromkeys(development, "1.0.0"),
        }
        locked: dict[str, object] = {"": top}
        locked |= {f"node_modules/@app/{name}": {"resolved": f"packages/{name}", "link": True} for name in workspaces}
        locked |= {f"node_modules/{name}": _package() for name in production}
        locked |= {f"node_modules/{name}": {**_package(), "dev": True} for name in development}
        locked |= {f"packages/{name}": _package(f"@app/{name}") for name in workspaces}
        lock = {"name": "size", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": locked}
        _write(checkout / "package.json", json.dumps(top, indent=2).encode())
        _write(checkout / "package-lock.json", json.dumps(lock, indent=2).encode())
        _write(checkout / LINE, b"export const line = 0;\n")
        _write(checkout / ".gitignore", b"node_modules\ndist\n/packages\ndist-test\n.next\n")


def _package(name: str = "") -> dict[str, str]:
    return {**({"name": name} if name else {}), "version": "1.0.0", "license": "MIT"}


def _native_module() -> bytes:
    """Return a native module that loads and exports nothing; what stands behind it in a file does not matter."""
    with tempfile.TemporaryDirectory() as scratch:
        source, module = Path(scratch, "module.cc"), Path(scratch, "module.node")
        source.write_text('extern "C" void *napi_register_module_v1(void *, void *exports) { return exports; }\n')
        argv = ["g++", "-shared", "-fPIC", "-s", "-Wl,--build-id=none", "-o", str(module), str(source)]
        process.run(argv, timeout=60)
        return module.read_bytes()


def _text(dice: random.Random, size: int) -> bytes:
    """Return SIZE bytes that compress to about a fifth, as JavaScript does."""
    words = [f"{dice.randrange(16**6):06x}"[: dice.randint(2, 6)] for _ in range(3000)]
    lines = [" ".join(dice.choices(words, k=dice.randint(4, 12))).encode() for _ in range(6000)]
    return b"\n".join(_lines(dice, lines, size))[:size]


def _lines(dice: random.Random, lines: list[bytes], size: int) -> Iterator[bytes]:
    recent = dice.choices(lines, k=400)
    while size > 0:
        recent[dice.randrange(len(recent))] = dice.choice(lines)
        for line in dice.choices(recent, k=8):
            yield line
            size -= len(line) + 1


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def describe(folder: Path) -> dict[str, int | str]:
    """Return how many paths and bytes are below FOLDER, and a hash of their names and sizes."""
    paths, size, seen = 0, 0, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        paths += 1
        bytes_ = path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
        size += bytes_
        seen.update(f"{path.relative_to(folder)} {bytes_}\n".encode())
    return {"paths": paths, "bytes": size, "sha256": seen.hexdigest()}


def main() -> int:
    """Make it, and print how large it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.application", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the real application's size; 0.01 is quick")
    given = parser.parse_args()
    Maker(seed=given.seed, scale=given.scale).make(given.folder)
    print(json.dumps({part: describe(given.folder / part) for part in ("sf", "made")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
