"""The clauses of the source: checks of a checkout before a build; pure."""

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from selfdeploy import config
from selfdeploy.contract import locks
from selfdeploy.contract.clauses import Finding, broken, listed, not_checked, ok
from selfdeploy.contract.selection import selects
from selfdeploy.contract.tracked import CONFIGURATIONS, Tracked, target

SHIPPED = ("dist/loader.js", "dist/web/standalone/server.js")
"""The files started by the image and by vega."""

UNREAD = "the files of the submodule {} are not there: see S1"

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
STANDALONE = re.compile(r"""\boutput\b["']?\s*[:=][^,;}\n]*["'`]standalone["'`]""")


def check(tracked: Tracked, project: config.Project) -> list[Finding]:
    """Check TRACKED with the settings of PROJECT; return a finding for each clause of the source."""
    checks: Sequence[Callable[[Tracked, config.Project], Finding]] = (
        _files_only,
        _no_lfs,
        _lock,
        _web_lock,
        _scripts,
        _files,
        _command,
        _links,
        _standalone,
        _revision,
    )
    return [each(tracked, project) for each in checks]


def _files_only(tracked: Tracked, project: config.Project) -> Finding:
    outline = tracked.outline
    modules = [module.path for module in outline.submodules]
    if modules and project.source.submodules == "refuse":
        return broken(
            "S1",
            expected="files, programs and links",
            actual=f"a submodule: {listed(modules)}",
            todo='set source.submodules = "checkout" in deploy.toml, or commit the files here',
        )
    if why := tracked.unusable:
        return broken("S1", expected="the files of each submodule", actual=why.message, todo=why.hint)
    notes = [f"{outline.files} files"]
    notes += [f"from submodules: {listed(modules)}"] if modules else []
    notes += [f"an empty folder each: {listed(outline.empty)}"] if outline.empty else []
    return ok("S1", "; ".join(notes))


def _no_lfs(tracked: Tracked, _: config.Project) -> Finding:
    if pointers := tracked.outline.pointers:
        return broken(
            "S2",
            expected="the files themselves",
            actual=f"pointers of Git LFS: {listed(pointers)}",
            todo="git lfs migrate export --include=PATH; or git lfs install where the gates run",
        )
    return ok("S2", "no pointer that a checkout would leave")


def _lock(tracked: Tracked, project: config.Project) -> Finding:
    return _check_lock(tracked, project, "S3", "npm-ci", "")


def _web_lock(tracked: Tracked, project: config.Project) -> Finding:
    return _check_lock(tracked, project, "S4", "web-npm-ci", "web/")


def _check_lock(tracked: Tracked, project: config.Project, number: str, gate: str, folder: str) -> Finding:
    command = project.gates.all[gate].command
    if command != config.REQUIRED[gate].command:
        return not_checked(number, f"deploy.toml redefines the gate {gate}: {' '.join(command)}")
    if module := tracked.beyond(folder.rstrip("/")):
        return not_checked(number, UNREAD.format(module))
    if fault := locks.find_fault(tracked, folder):
        return broken(number, expected=fault.expected, actual=fault.actual, todo=fault.todo)
    return ok(number, locks.name(tracked, folder))


def _scripts(tracked: Tracked, project: config.Project) -> Finding:
    wanted = list(_wanted_scripts(project.gates.all))
    missing = []
    for folder, script in wanted:
        scripts = (tracked.object(f"{folder}package.json") or {}).get("scripts")
        text = scripts.get(script) if isinstance(scripts, dict) else None
        if not (isinstance(text, str) and text.strip()):
            missing.append(f"{script} in {folder}package.json")
    if missing:
        return broken(
            "S5",
            expected=", ".join(script for _, script in wanted),
            actual=f"missing: {', '.join(missing)}",
            todo="add the script; or redefine the gate in deploy.toml: [gates.override.NAME]",
        )
    return ok("S5", ", ".join(script for _, script in wanted) or "the gates run none")


def _wanted_scripts(gates: Mapping[str, config.Gate]) -> Iterator[tuple[str, str]]:
    """Yield the folder and the name of each npm script run by GATES."""
    for gate in gates.values():
        match gate.command:
            case ["npm", "run", script, *_]:
                yield "", script
            case ["npm", "--prefix", folder, "run", script, *_]:
                yield f"{folder.removeprefix('./').strip('/')}/", script


def _files(tracked: Tracked, project: config.Project) -> Finding:
    if project.image.include:
        return ok("S6", f"deploy.toml names what ships: {listed(project.image.include)}")
    package = tracked.object("package.json")
    files = None if package is None else package.get("files")
    if package and files is None and ".npmignore" in tracked.entries:
        return not_checked("S6", "npm chooses what ships by .npmignore; inv gates shows what that is")
    if not isinstance(files, list) or not files or not all(isinstance(one, str) for one in files):
        actual = "no JSON object" if package is None else f"{json.dumps(files)[:80]}"
        todo = 'add "files": ["dist"] to package.json: what git ignores does not ship without it'
        return broken("S6", expected="a list of patterns in package.json", actual=actual, todo=todo)
    outside = [one for one in files if _leaves(one)]
    if outside:
        return broken(
            "S6",
            expected="patterns below the package",
            actual=listed(outside),
            todo="name files and folders of the package",
        )
    return ok("S6", listed(files))


def _leaves(pattern: str) -> bool:
    plain = pattern.removeprefix("!").removeprefix("./").strip("/")
    return not plain or ".." in plain.split("/") or "\0" in plain


def _patterns(tracked: Tracked, project: config.Project) -> list[str]:
    files = project.image.include or (tracked.object("package.json") or {}).get("files")
    return [one for one in files if isinstance(one, str)] if isinstance(files, list | tuple) else []


def _always(tracked: Tracked) -> set[str]:
    """Return the files npm ships regardless of `files`: `main` and `bin` (package.json documentation)."""
    package = tracked.object("package.json") or {}
    programs = package.get("bin")
    named = [package.get("main"), *(programs.values() if isinstance(programs, dict) else [programs])]
    return {posixpath.normpath(path) for path in named if isinstance(path, str)}


def _command(tracked: Tracked, project: config.Project) -> Finding:
    patterns = _patterns(tracked, project)
    if not patterns and ".npmignore" in tracked.entries:
        return not_checked("S7", "npm chooses what ships by .npmignore; the gates refuse what lacks the command")
    always = set() if project.image.include else _always(tracked)
    missing = [path for path in SHIPPED if path not in always and not selects(patterns, path)]
    if missing:
        return broken(
            "S7",
            expected=" and ".join(SHIPPED),
            actual=f"not selected by {listed(patterns) or 'any pattern'}: {', '.join(missing)}",
            todo='select the folder in package.json: "files": ["dist"]; no `!` may take it away',
        )
    return ok("S7", " and ".join(SHIPPED))


def _links(tracked: Tracked, project: config.Project) -> Finding:
    patterns, roots = _patterns(tracked, project), locks.linked_folders(tracked)
    faults = []
    for path, text in tracked.links.items():
        if not selects(patterns, path) and not any(path.startswith(f"{root}/") for root in roots):
            continue
        to = target(path, text)
        if to.startswith("/"):
            faults.append(f"{path} -> {text} (absolute)")
        elif to == ".." or to.startswith("../"):
            faults.append(f"{path} -> {text} (leaves the package)")
        elif not tracked.has(to) and to not in tracked.ignored and to != ".":
            faults.append(f"{path} -> {text} (leads nowhere)")
    if faults:
        return broken(
            "S8",
            expected="relative links to what ships",
            actual=listed(faults),
            todo="make it a relative link within the package, or commit the file itself",
        )
    return ok("S8", "links that the build makes are checked after the gates")


def _standalone(tracked: Tracked, _: config.Project) -> Finding:
    if module := tracked.beyond("web"):
        return not_checked("S9", UNREAD.format(module))
    there = [f"web/{name}" for name in CONFIGURATIONS if f"web/{name}" in tracked.entries]
    for path in there:
        if STANDALONE.search(COMMENT.sub("", tracked.contents.get(path, b"").decode(errors="replace"))):
            return ok("S9", path)
    return broken(
        "S9",
        expected='output: "standalone" in the configuration of Next',
        actual=f"not in {listed(there)}" if there else "no web/next.config.js, .mjs, .cjs, .ts or .mts",
        todo="set it, and copy web/.next/standalone to dist/web/standalone in build:web-host",
    )


def _revision(tracked: Tracked, _: config.Project) -> Finding:
    missing = [name for name, files in tracked.mentions.items() if not files]
    if missing and tracked.unread:
        return not_checked("S10", UNREAD.format(listed(tracked.unread)))
    if missing:
        return broken(
            "S10",
            expected="code that reads SF_BUILD_REVISION in the build and SF_RELEASE_MANIFEST in the server",
            actual=f"no file of code names {' or '.join(missing)}",
            todo="write SF_BUILD_REVISION into a file that the build keeps; hash the file SF_RELEASE_MANIFEST names",
        )
    return ok("S10", listed(list[str](tracked.mentions.get("SF_BUILD_REVISION", ()))))
