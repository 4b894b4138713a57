"""What is done with this project, each thing in an environment of its own: ``nox -s NAME``, ``nox -l`` lists them.

Everything is installed from ``constraints.txt``, the set of versions that was tested, for the Python that runs nox;
but ``lowest`` and ``newest`` try the ends of what ``pyproject.toml`` admits.
"""

from __future__ import annotations

import random
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
DEMO = ROOT / "build" / "demo"
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
OF_LIBRARIES = [
    "Call to deprecated class Scaler:DeprecationWarning",  # ome-zarr, of its own default argument
    "Tensorflow not installed:ImportWarning",  # umap, of what nobody asked for
    ":SyntaxWarning",  # docrep, of squidpy's docstrings; ruff sees ours
    "Writing zarr v2 data:UserWarning",  # anndata, of its next release
    "zarr v3 autosharding:UserWarning",
    "Converting `region_key:UserWarning",  # spatialdata, of what spatialdata-io reads
    "zero-centering a sparse:UserWarning",  # scanpy, in the benchmarks' floor
    "Variable names are not unique:UserWarning",  # anndata, where tests make such a table
    "Observation names are not unique:UserWarning",
]
"""Warnings that nothing in this package can mend, as ``-W`` wants them."""

IN_TESTS = {
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",  # processes of several threads each would wait for one another
    "PYTHONDONTWRITEBYTECODE": "",  # many processes are started, and read what the first one compiled
}


def install(session: nox.Session, *what: str) -> None:
    session.install("-c", "constraints.txt", *what)


def run_tests(session: nox.Session, *options: str) -> None:
    session.run("pytest", "--numprocesses=auto", "--dist=worksteal", *options, *session.posargs, env=IN_TESTS)


@nox.session
def demo(session: nox.Session) -> None:
    """Execute the first steps on the built-in tissue, or ``-- PATH [N_DOMAINS]`` on an .h5ad or .zarr of yours."""
    install(session, "-e", ".[demo]")
    shutil.rmtree(DEMO, ignore_errors=True)
    session.run("python", "tutorials/run.py", str(DEMO), *session.posargs)


@nox.session
def tutorials(session: nox.Session) -> None:
    """Execute all tutorials, or those named after ``--``, into ``build/tutorials``; on what ``MULTIST_DATA`` holds."""
    install(session, "-e", ".[demo,paga]")
    folder = ROOT / "build" / "tutorials"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "tutorials/run.py", str(folder), "--tutorial", *(session.posargs or ["all"]))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, a process per core, each on one thread; what follows ``--`` goes to pytest."""
    install(session, "-e", ".[test]")
    run_tests(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests on the lowest versions of the direct dependencies; what follows ``--`` goes to pytest."""
    session.install("uv")
    versions = str(Path(session.create_tmp()).resolve() / "lowest.txt")
    options = ["--quiet", "--no-header", "--resolution", "lowest-direct", "--extra", "test", "--output-file", versions]
    session.run("uv", "pip", "compile", *options, "pyproject.toml")
    session.install("-c", versions, "-e", ".[test]")
    run_tests(session)


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """Run the tests on the newest versions of everything, on each Python; what follows ``--`` goes to pytest."""
    session.install("--upgrade", "-e", ".[test]")
    run_tests(session)


@nox.session
def strict(session: nox.Session) -> None:
    """Run the tests with every warning an error, but for what libraries say of themselves."""
    install(session, "-e", ".[test]")
    ignored = [option for warning in OF_LIBRARIES for option in ("-W", f"ignore:{warning}")]
    run_tests(session, "-W", "error", *ignored)


@nox.session
def shuffled(session: nox.Session) -> None:
    """Run the tests in another order; ``-- SEED`` of it, which is else another one each time."""
    install(session, "-e", ".[test]")
    seed = session.posargs[0] if session.posargs else str(random.randrange(2**32))
    session.run("pytest", "--numprocesses=auto", "--dist=loadfile", "--shuffle", seed, env=IN_TESTS)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests in one process and say which lines none of them reaches; what follows ``--`` goes to pytest."""
    install(session, "-e", ".[test]")
    session.run("pytest", "--cov", "--cov-report=term", "--cov-report=xml", *session.posargs, env=IN_TESTS)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors."""
    install(session, "-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the rules of the house, without the heavy dependencies."""
    install(session, "ruff", "mypy", "pytest", "lazy-loader")
    session.install("--no-deps", "-e", ".")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pytest", "-q", "tests/test_architecture.py", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of the tested versions; this asks the network."""
    install(session, "pip-audit")
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "-r", "constraints.txt", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Draw what readers of strangers' files get, and what should change no result; ``-- EXAMPLES`` of each kind.

    Failures are injected at every place from which another room is called, and not at some.
    """
    install(session, "-e", ".[test]")
    env = IN_TESTS | {"MULTIST_FUZZ": (session.posargs or ["400"])[0]}
    files = [f"tests/reliability/test_{name}.py" for name in ("fuzzing", "properties", "failures")]
    session.run("pytest", "-q", *files, env=env)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the package in many places, and say which changes no test sees; ``-- COUNT SEED`` of the sample."""
    install(session, "-e", ".[test]", "cosmic-ray")
    session.run("python", "tests/mutants.py", *session.posargs, env={"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"})


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist, look into both, and import the wheel from an environment that holds nothing else."""
    install(session, "build", "virtualenv")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), ".")
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        _require(
            session, wheel.name, archive.namelist(), "multist/py.typed", "multist/tl/__init__.pyi", "licenses/LICENSE"
        )
    with tarfile.open(sdist) as archive:
        _require(session, sdist.name, archive.getnames(), "multist/py.typed", "/LICENSE", "/README.md", "/CHANGELOG.md")

    empty = dist.parent / "empty"
    session.run("virtualenv", "--quiet", "--clear", str(empty))
    python = next(path for path in (empty / "bin" / "python", empty / "Scripts" / "python.exe") if path.exists())
    session.run(str(python), "-m", "pip", "install", "--quiet", "-c", "constraints.txt", str(wheel), external=True)
    # from a folder that holds no source, so that nothing but the installed wheel can be found
    with session.chdir(dist):
        code = "import multist as mt; names = [f'{n}.{f}' for n in ('pp', 'tl', 'pl', 'metrics', 'datasets') for f in "
        code += "dir(getattr(mt, n)) if callable(getattr(getattr(mt, n), f))]; print(mt.__version__, *names)"
        session.run(str(python), "-c", code, external=True)
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(dist, target)


def _require(session: nox.Session, archive: str, names: list[str], *ends: str) -> None:
    missing = [end for end in ends if not any(name.endswith(end) for name in names)]
    if missing:
        session.error(f"{archive} lacks {', '.join(missing)}")
