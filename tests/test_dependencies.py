"""What is imported is declared, and what is declared as optional can be missing."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# packages that are installed under another name than they are imported by
DISTRIBUTION = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skmisc": "scikit-misc",
}
OPTIONAL = ("imagecodecs", "lightning_fabric", "lightning", "igraph", "liana", "transformers", "spatialdata_io")


def named(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def imported_packages() -> dict[str, set[str]]:
    """Distribution of every package that the source imports, and the files that do, also inside functions."""
    found = defaultdict(set)
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"multist"}:
                found[DISTRIBUTION.get(name, name.replace("_", "-"))].add(file.relative_to(ROOT).as_posix())
    return dict(found)


def test_every_import_is_declared():
    declared = {named(each) for each in PROJECT["dependencies"]}
    declared |= {named(each) for extra in PROJECT["optional-dependencies"].values() for each in extra}
    imported = imported_packages()
    assert {"torch", "scikit-image", "liana"} <= set(imported), "the imports were not found"
    assert not {name: sorted(files) for name, files in imported.items() if name not in declared}


# the second part goes on in the process of the first, which has loaded some of what it needs
CHILD = f"""
import sys
from importlib.machinery import PathFinder
from pathlib import Path
asked = set()

class WithoutOptional(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            asked.add(name)
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutOptional
import anndata as ad
import numpy as np
import multist as mt
mt.settings.progress = False
rng = np.random.default_rng(0)
y, x = np.divmod(np.arange(400), 20)
rates = np.where((np.arange(60) % 3) == (3 * x // 20)[:, None], 9.0, 2.0)
plain = ad.AnnData(rng.poisson(rates).astype(np.float32), obsm={{"spatial": np.column_stack([x, y]) * 100.0}})
seen = plain.copy()
seen.obsm["X_histology"] = np.eye(3)[3 * x // 20] + rng.normal(size=(400, 3))
for name, adata in dict(plain=plain, seen=seen).items():
    mt.tl.multist_domains(adata, 3, use_image=adata is seen, config=mt.tl.MultiSTConfig(epochs=2))
    assert adata.obs["multist_domain"].nunique() == 3
    Path(name).write_text(" ".join([*sys.modules, *asked]))
sdata = mt.datasets.layered_tissue(n_spots=100, n_genes=96, image_size=300)
mt.pp.normalize_histology(sdata)
mt.pp.embed_histology(sdata)
mt.tl.multist_domains(sdata, 4, config=mt.tl.MultiSTConfig(epochs=2))
mt.pl.domains(sdata, save="domains.png")
print(*sorted(sdata.tables["table"].obs["multist_domain"].unique()))
mt.pp.read_slide("slide.tif")
"""
SLOW_TO_LOAD = {"lightning_fabric", "matplotlib", "numba", "scanpy", "scipy.stats", "skimage", "sklearn", "spatialdata"}
SLOW_TO_LOAD |= {"squidpy", "torch._dynamo", "transformers"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What a Python without any extra says that has loaded nothing before, and the folder that it writes to."""
    folder = tmp_path_factory.mktemp("fresh")
    if importlib.util.find_spec("imagecodecs"):
        tifffile.imwrite(folder / "slide.tif", np.zeros((64, 64, 3), np.uint8), compression="jpeg", tile=(64, 64))
    return subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, cwd=folder), folder


def test_domains_are_found_without_any_extra_and_a_slide_that_needs_one_names_it(fresh):
    pytest.importorskip("imagecodecs")  # without which there is no slide
    done, folder = fresh
    assert done.stdout.split() == ["0", "1", "2", "3"], done.stderr
    assert "ImportError" in done.stderr and "pip install 'multist[slides]'" in done.stderr, done.stderr
    assert (folder / "domains.png").stat().st_size > 10_000


def test_domains_on_a_lattice_load_nothing_that_they_do_not_use(fresh):
    done, folder = fresh
    assert (folder / "seen").exists(), done.stderr
    plain, seen = (set((folder / name).read_text().split()) for name in ("plain", "seen"))
    assert "multist" in plain and plain & (SLOW_TO_LOAD | {"torch", "dgl"}) == set()
    assert "torch" in seen and seen & SLOW_TO_LOAD == set()
