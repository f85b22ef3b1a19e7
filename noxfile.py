"""The sessions: SF's gates, and the checks of selfdeploy itself."""

import nox

from selfdeploy.sessions import run_gates as run_gates

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "types"]


BYTECODE = {"UV_COMPILE_BYTECODE": "1"}
"""Has uv make bytecode once, where each start of Python would do it again: with PYTHONDONTWRITEBYTECODE, for ever."""


def _install(session: nox.Session) -> None:
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.install("--require-hashes", "-r", "requirements.lock", env=BYTECODE)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after -- are pytest's."""
    _install(session)
    session.run("bash", "tests/lab/install", external=True)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    # More workers than most machines' tests need cores: much of their time they wait for servers to come and go.
    workers = ["--numprocesses=4", "--dist=loadfile", "--no-loadscope-reorder"]
    session.run("pytest", "--cov", "--cov-report=", *workers, "tests/unit")
    session.run("coverage", "report")
    session.run("pytest", *workers, "tests/integration", "tests/cluster")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and the borders between modules."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "-m", "lab.house", env={"PYTHONPATH": "tests"})
    workflows = [".forgejo/workflows/self-deploy.yml", "templates/repository/self-deploy.yml"]
    session.run("zizmor", "--offline", "--persona", "pedantic", "--no-progress", *workflows)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    _install(session)
    session.run("mypy")


@nox.session
def picture(session: nox.Session) -> None:
    """Make the README's pictures of real releases; arguments after -- are another file, and the command it shows."""
    _install(session)
    session.run("python", "-m", "lab.picture", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:
    """Compare a release with a plain script, and a rollout with kubectl and Helm; arguments after -- are its own."""
    _install(session)
    session.run(
        "python",
        "-m",
        "benchmarks",
        *session.posargs,
        env={"PYTHONPATH": "tests"},
        interrupt_timeout=120,  # it cleans up the engine first
        terminate_timeout=120,
    )


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill releases at every instant and check what has to hold; arguments after -- are the harness's."""
    _install(session)
    session.run("bash", "tests/lab/install", external=True)
    session.run(
        "python",
        "-m",
        "chaos",
        *session.posargs,
        env={"PYTHONPATH": "tests"},
        interrupt_timeout=120,  # it cleans up the engine first
        terminate_timeout=120,
    )
