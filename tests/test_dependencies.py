"""What is imported is declared, and what is declared as optional can be missing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

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


def test_domains_are_found_without_any_extra_and_a_slide_that_needs_one_names_it(tmp_path):
    code = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None
import multist as mt
mt.settings.progress = False
sdata = mt.datasets.layered_tissue(n_spots=100, n_genes=96, image_size=300)
mt.pp.normalize_histology(sdata)
mt.pp.embed_histology(sdata)
mt.tl.multist_domains(sdata, 4, config=mt.tl.MultiSTConfig(epochs=2))
mt.pl.domains(sdata, save={str(tmp_path / "domains.png")!r})
print(*sorted(sdata.tables["table"].obs["multist_domain"].unique()))
mt.pp.read_slide({str(tmp_path / "slide.tif")!r})
"""
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "slide.tif", np.zeros((64, 64, 3), np.uint8), compression="jpeg", tile=(64, 64))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["0", "1", "2", "3"], done.stderr
    assert "ImportError" in done.stderr and "pip install 'multist[slides]'" in done.stderr, done.stderr
    assert (tmp_path / "domains.png").stat().st_size > 10_000


ON_A_LATTICE = """
import sys
import anndata as ad
import numpy as np
import multist as mt
mt.settings.progress = False
rng = np.random.default_rng(0)
y, x = np.divmod(np.arange(400), 20)
rates = np.where((np.arange(60) % 3) == (3 * x // 20)[:, None], 9.0, 2.0)
plain = ad.AnnData(rng.poisson(rates).astype(np.float32), obsm={"spatial": np.column_stack([x, y]) * 100.0})
seen = plain.copy()
seen.obsm["X_histology"] = np.eye(3)[3 * x // 20] + rng.normal(size=(400, 3))
for adata in (plain, seen):
    use_image = adata is seen
    mt.tl.multist_domains(adata, 3, use_image=use_image, config=mt.tl.MultiSTConfig(epochs=2))
    assert adata.obs["multist_domain"].nunique() == 3
    print(*sys.modules)
"""
SLOW_TO_LOAD = {"lightning_fabric", "matplotlib", "numba", "scanpy", "scipy.stats", "skimage", "sklearn", "spatialdata"}
SLOW_TO_LOAD |= {"squidpy", "torch._dynamo", "transformers"}


def test_domains_on_a_lattice_load_nothing_that_they_do_not_use():
    done = subprocess.run([sys.executable, "-c", ON_A_LATTICE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain, seen = (set(line.split()) for line in done.stdout.splitlines())
    assert "multist" in plain and plain & (SLOW_TO_LOAD | {"torch", "dgl"}) == set()
    assert "torch" in seen and seen & SLOW_TO_LOAD == set()
