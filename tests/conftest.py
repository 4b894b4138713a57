"""What several rooms' tests share."""

from __future__ import annotations

import ast
import gc
import logging
import os
import random
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

README = Path(__file__).parents[1] / "README.md"
FURTHER = ("tl.interactions", "pl.borders", "tl.pseudotime", "pl.pseudotime")
os.environ.setdefault("MPLBACKEND", "agg")  # no windows, whoever runs the tests
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait for others sleep, on a busy machine above all
REAL_DATA = Path(os.environ.get("MULTIST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run files, and the tests of each, in another order")


def pytest_configure() -> None:
    """No network from now on, here and in every Python that is started, so that whatever passes needs none."""
    folder = Path(__file__).parent / "no_network"
    runpy.run_path(str(folder / "sitecustomize.py"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    rng = random.Random(seed)
    files = sorted({item.path for item in items})
    rng.shuffle(files)
    place = {file: number for number, file in enumerate(files)}
    rng.shuffle(items)
    items.sort(key=lambda item: place[item.path])  # stable, so that the tests of a file stay shuffled


def pytest_collection_finish() -> None:
    """What was imported is no garbage; a look through all of it takes a second."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_progress_bars() -> None:
    """Tests that want bars ask for them."""
    from multist._settings import settings

    settings.progress = False


@pytest.fixture(autouse=True)
def messages_are_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The package's messages do not pass through the root logger, where ``caplog`` listens."""
    logger = logging.getLogger("multist")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    """No figure is left to other tests."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def no_dashboard() -> dict[str, Any]:
    """Arguments of a dask cluster: without a dashboard its scheduler still wants port 8787, which others may hold."""
    return {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}


@pytest.fixture
def two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_dashboard: dict[str, Any]) -> Callable[[str], Any]:
    """Start two processes, as on two machines, that can read what the named module of tests sends them."""

    @contextmanager
    def client_of(module: str) -> Iterator[Any]:
        distributed = pytest.importorskip("distributed")
        import dask
        from distributed.utils import get_mp_context

        # workers take over the path
        monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
        options = {"local_directory": str(tmp_path / "workers"), **no_dashboard}
        with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
            # both are forks of one process, which has imported what takes seconds
            get_mp_context().set_forkserver_preload(["distributed.nanny", "spatialdata", "torch"])
            cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options)
            with cluster, distributed.Client(cluster) as client:
                # a graph that they cannot read would be waited for without end; while they import, they answer nobody
                client.run(exec, f"import {module}")
                yield client

    return client_of


@pytest.fixture(scope="session")
def shorten_training() -> Callable[[pytest.MonkeyPatch], None]:
    """Whoever names no number of steps trains for ten, on one deal of blocks; strokes are dealt out once.

    One search for domains is enough.
    """

    def shorten(patch: pytest.MonkeyPatch) -> None:
        from multist.cluster import guided, mixture
        from multist.model import config
        from multist.model.features import image_gain

        new, usual = config.MultiSTConfig.__init__, config.MultiSTConfig().epochs
        patch.setattr(new, "__defaults__", tuple(10 if value == usual else value for value in new.__defaults__))
        patch.setattr(image_gain, "_MOST_DEALS", 1)
        patch.setattr(guided, "_N_DEALS", 1)
        patch.setattr(mixture, "_ENOUGH_HITS", 1)

    return shorten


@pytest.fixture(autouse=True)
def short_training(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    shorten_training: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """Train shortly, but for tests marked ``full_training``, which ask what is found, and in the rooms of arrays.

    Architecture is looked at where nothing is installed, too.
    """
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    if (
        room not in ("cluster", "model", "test_architecture.py")
        and request.node.get_closest_marker("full_training") is None
    ):
        shorten_training(monkeypatch)


@pytest.fixture(scope="session")
def code_of() -> Callable[[str], str]:
    """The Python of a section of the README, which has one block of it."""

    def code(heading: str) -> str:
        text = README.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
        (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        return block

    return code


@pytest.fixture
def run_readme(code_of, tmp_path, monkeypatch) -> Callable[..., dict[str, str]]:
    """Run the README's own lines, from the stains to the pseudotime, on an object; give those refused, and why.

    What is named beside the object (``table_key=`` and so on) is passed in each line that takes the object.
    """
    import pandas as pd

    import multist as mt

    def lines() -> Iterator[ast.Expr]:
        own = ast.parse(code_of("Your own section")).body
        further = ast.parse(code_of("And further")).body
        further = [line for line in further if ast.unparse(line).startswith(tuple(f"mt.{name}(" for name in FURTHER))]
        assert len(own) > 6 and len(further) == len(FURTHER)
        return (
            line for line in [*own, *further] if isinstance(line, ast.Expr)
        )  # what is left out reads the object from a file

    def run(data: AnnData | SpatialData, **named: str) -> dict[str, str]:
        monkeypatch.chdir(tmp_path)
        table = data.tables[named.get("table_key", "table")] if hasattr(data, "tables") else data
        genes = [str(gene) for gene in table.var_names[:6]]
        pairs = pd.DataFrame({"source": genes[:3], "target": genes[3:]})
        names: dict[str, Any] = {"mt": mt, "sdata": data, "adata": table, "pairs": pairs}
        refused = {}
        for line in lines():
            call = ast.unparse(line)
            if call.startswith("mt.") and "(sdata" in call:
                few = {"mt.tl.interactions": {"n_perms": 100}, "mt.pl.domains": {"dpi": 60}}
                more = named | few.get(call.partition("(")[0], {})
                line.value.keywords += [ast.keyword(key, ast.Constant(value)) for key, value in more.items()]
            try:
                exec(compile(ast.fix_missing_locations(ast.Module([line], [])), str(README), "exec"), names)
            except (KeyError, ValueError, TypeError, NotImplementedError) as error:
                refused[call.partition("(")[0]] = str(error)
        return refused

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sections with truth; point ``MULTIST_DATA`` to another one."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real sections at {REAL_DATA}; set MULTIST_DATA to their folder")
    return REAL_DATA


@pytest.fixture(scope="session")
def made_tissue() -> tuple[SpatialData, AnnData]:
    """A small section with a known truth in both forms.

    Shared by all tests, so take a copy of it from the fixtures below.
    """
    from multist.datasets import layered_tissue

    size = {"n_spots": 250, "n_genes": 200, "image_size": 600}
    return layered_tissue(**size), layered_tissue(**size, format="anndata")


@pytest.fixture(scope="session")
def usual_tissue() -> AnnData:
    """A section of the default size, as an AnnData; shared by all tests, so take a copy of it."""
    from multist.datasets import layered_tissue

    return layered_tissue(format="anndata")


@pytest.fixture
def tissue(made_tissue: tuple[SpatialData, AnnData]) -> SpatialData:
    """Seven domains on 250 spots with 200 genes and a 600 px image, nothing computed yet."""
    from multist.access.tables import copy_data

    return copy_data(made_tissue[0])


@pytest.fixture
def tissue_table(made_tissue: tuple[SpatialData, AnnData]) -> AnnData:
    """The same as an AnnData in Visium's form."""
    return made_tissue[1].copy()
