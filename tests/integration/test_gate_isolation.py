"""A gate that looks around finds nobody's secrets: neither in its environment nor in another process's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import children
from lab.needed import need
from lab.site import Done, Site
from selfdeploy.gates import isolation, reaper

RUN_TOKENS = ("FORGEJO_TOKEN", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN")
LOOK = r"""
env
for place in /proc/[0-9]*; do tr '\0' '\n' <"$place/environ"; echo "process $(tr '\0' ' ' <"$place/cmdline")"; done
umount /proc && echo un''mounted
(sleep 0.1 &)
sleep 0.5
grep -h '^State:' /proc/[0-9]*/status
exit 7
"""


def look(site: Site, isolation: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Done, str]:
    """Have a gate of SITE look around under ISOLATION; return how that went, and its log."""
    for name in RUN_TOKENS:
        monkeypatch.setenv(name, f"secret-{name}")
    show = f"[gates.override.show]\ncommand = {json.dumps(['sh', '-c', LOOK.replace('exit 7', 'exit 0')])}\n"
    site.configure(top=f'[gates]\nisolation = "{isolation}"\n{show}')
    done = nox(site, "show")
    site.configure()
    return done, (site.folder / ".selfdeploy" / "trees" / "some" / "logs" / "show.log").read_text(errors="replace")


def test_a_gate_that_looks_around_finds_no_token_and_no_process_but_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, seen = look(site, "auto", monkeypatch)

    assert done.returncode == 0, done.stderr
    assert "without namespaces" not in done.stderr
    assert "secret-" not in seen
    assert "process sh -c" in seen
    assert "nox" not in [line for line in seen.splitlines() if line.startswith("process")]
    assert "unmounted" not in seen
    assert "zombie" not in seen


def test_without_namespaces_a_gate_would_find_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = look(site, "off", monkeypatch)

    assert done.returncode == 0, done.stderr
    assert all(f"secret-{name}" in seen for name in RUN_TOKENS)


def test_gates_that_need_namespaces_do_not_run_on_a_machine_without(site: Site, tmp_path: Path) -> None:
    (tmp_path / "unshare").write_text(
        "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"
    )
    (tmp_path / "unshare").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    site.configure(top='[gates]\nisolation = "namespaces"\n')

    refused = site.inv("gates", "--fresh", PATH=path)
    site.configure()

    assert refused.returncode == 13, refused.stderr
    assert "gates.isolation: this machine gives the gates no namespaces of their own" in refused.stderr
    assert "Operation not permitted" in refused.stderr


def test_a_machine_without_namespaces_is_named_and_the_gates_run(site: Site, tmp_path: Path) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    site.configure(top='[gates.override.show]\ncommand = ["true"]\n')

    done = nox(site, "show", PATH=f"{tmp_path}:{os.environ['PATH']}")
    site.configure()

    assert done.returncode == 0, done.stderr
    assert "gates: without namespaces of their own: exit code 1" in done.stderr


def nox(site: Site, gate: str, **environment: str) -> Done:
    argv = [sys.executable, "-m", "nox", "-s", "gates", "--", gate]
    return subprocess.run(
        argv,
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """What any user may read of that the prefix names, by what it names."""
    need([] if os.geteuid() == 0 else ["root, to be another user"])
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith(("pytest-", "popen-", "test_")):
            folder.chmod(0o755)
    copy = Path(shutil.copy(reaper.__file__, tmp_path / "reaper.py"))
    copy.chmod(0o644)
    return {sys.executable: "/usr/bin/python3", str(Path(reaper.__file__)): str(copy)}


@pytest.mark.parametrize("user", [0, 1000])
def test_any_user_s_namespaces_hide_processes_reap_orphans_keep_exit_codes(user: int, program: dict[str, str]) -> None:
    own = [program.get(part, part) for part in isolation.prefix(user)]
    become = [] if user == 0 else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]

    looked = subprocess.run(
        [*become, *own, "sh", "-c", LOOK], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )

    processes = [line for line in looked.stdout.splitlines() if line.startswith("process ")]
    assert looked.returncode == 7, looked.stderr
    assert [line.split()[1] for line in processes] == ["/usr/bin/python3", "sh"]
    assert "unmounted" not in looked.stdout
    assert "zombie" not in looked.stdout
    assert "LC_CTYPE" not in looked.stdout


def test_what_a_gate_leaves_running_ends_with_it(tmp_path: Path) -> None:
    argv = [*isolation.prefix(os.getuid()), "sh", "-c", f"setsid sleep 4321{os.getpid()} & exit 0"]

    subprocess.run(argv, check=True, cwd=tmp_path)

    children.wait_until(lambda: not running(f"4321{os.getpid()}"), "the end of what was left", seconds=10)


def test_a_gate_that_is_killed_or_missing_says_so_by_its_exit_code(tmp_path: Path) -> None:
    own = isolation.prefix(os.getuid())

    killed = subprocess.run([*own, "sh", "-c", "kill -9 $$"], check=False, cwd=tmp_path)
    missing = subprocess.run([*own, "no-such-program"], check=False, capture_output=True, cwd=tmp_path)

    assert killed.returncode == 137
    assert missing.returncode == 127
    assert b"no-such-program" in missing.stderr


def running(argument: str) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument in line.read_bytes().decode(errors="replace").split("\0"):
                found.append(line.parent.name)
        except OSError:
            continue
    return found
