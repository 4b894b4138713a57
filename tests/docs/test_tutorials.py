"""Tutorials are kept without outputs, are listed, and the first steps take data of a user."""

from __future__ import annotations

import ast
import os
import runpy
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs_and_is_listed(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert f"\n{path.stem}\n" in (ROOT / "docs" / "tutorials" / "index.md").read_text()


def code_for(data, path):
    run = runpy.run_path(str(ROOT / "tutorials" / "run.py"))
    data.write(path) if path.suffix == ".zarr" else data.write_h5ad(path)
    notebook = nbformat.read(ROOT / "tutorials" / "quickstart.ipynb", as_version=4)
    run["put_in"](notebook, path, 5)
    code = "\n".join(
        cell.source for cell in notebook.cells if cell.cell_type == "code" and not cell.source.count("\n%config")
    )
    ast.parse(code)
    return code


def test_first_steps_leave_out_what_a_file_lacks(tissue_table, tmp_path):
    del tissue_table.uns["spatial"]
    tissue_table.var_names = [f"gene{i}" for i in range(tissue_table.n_vars)]
    code = code_for(tissue_table, tmp_path / "mine.h5ad")
    assert "mine.h5ad" in code and "n_domains = 5" in code and 'write_zarr("multist_result.zarr")' in code
    assert not any(name in code for name in ("layered_tissue", "histology", "truth_key", "ligrec"))


def test_first_steps_keep_what_a_store_has(tissue, tmp_path):
    code = code_for(tissue, tmp_path / "mine.zarr")
    assert "sd.read_zarr(" in code and "embed_histology" in code and "ligrec" in code and "truth_key" not in code


def test_figures_are_kept_whatever_the_shell_draws_with(tmp_path, monkeypatch):
    for name in ("PYTHONPATH", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("MPLBACKEND", "agg")
    run = runpy.run_path(str(ROOT / "tutorials" / "run.py"))
    run["set_environment"]()
    cell = nbformat.v4.new_code_cell("import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()", id="line")
    assert run["execute"](nbformat.v4.new_notebook(cells=[cell]), "drawn", tmp_path)
    assert (tmp_path / "figures" / "drawn" / "01_line.png").stat().st_size > 1000
