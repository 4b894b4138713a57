"""Execute tutorials and keep what they make: ``python tutorials/run.py FOLDER [DATA [N_DOMAINS]] [--tutorial ...]``.

FOLDER receives the executed notebooks, their figures and the files they write. DATA is an ``.h5ad`` or ``.zarr`` of
yours, on which the first steps are run in place of the tissue that comes with the package.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
FIRST_STEPS = "quickstart"
TUTORIALS = sorted(path.stem for path in HERE.glob("*.ipynb"))
# well-known pairs for data of which nobody named any
PAIRS = [("CXCL12", "CXCR4"), ("CCL19", "CCR7"), ("VEGFA", "KDR"), ("PDGFB", "PDGFRB"), ("TGFB1", "TGFBR2")]
PAIRS += [("MIF", "CD74"), ("SPP1", "CD44"), ("CD47", "SIRPA"), ("APOE", "LRP1"), ("SEMA4D", "PLXNB2")]


def main() -> int:
    """Execute, save, and say where things are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("data", type=Path, nargs="?", help="an .h5ad or .zarr of yours, for the first steps")
    parser.add_argument("n_domains", type=int, nargs="?", default=7, help="how many domains to look for")
    known = ["all", *TUTORIALS]
    parser.add_argument("--tutorial", nargs="+", default=[FIRST_STEPS], choices=known, metavar="NAME", help=str(known))
    arguments = parser.parse_args()
    names = TUTORIALS if "all" in arguments.tutorial else arguments.tutorial
    notebooks = {name: nbformat.read(HERE / f"{name}.ipynb", as_version=4) for name in names}
    if arguments.data is not None:
        path = arguments.data.expanduser().resolve()
        if path.suffix not in (".h5ad", ".zarr") or not path.exists():
            parser.error(f"{path} is not an existing .h5ad or .zarr")
        if names != [FIRST_STEPS]:
            parser.error("only the first steps run on data of yours")
        put_in(notebooks[FIRST_STEPS], path, arguments.n_domains)

    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    set_environment()
    return sum(not execute(notebook, name, folder) for name, notebook in notebooks.items())


def set_environment() -> None:
    """Let kernels that start here find ``sections``, show figures, and keep other packages' warnings to themselves."""
    os.environ.pop("MPLBACKEND", None)  # of a shell without a screen; a kernel would draw into nothing
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONWARNINGS"] = "ignore"


def execute(notebook: nbformat.NotebookNode, name: str, folder: Path) -> bool:
    """Run one notebook in the folder; whether it ran to its end."""
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # no notice on how the kernel is reached
    )
    start = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    finally:
        # also after an error: the cells before it tell what went wrong
        nbformat.write(notebook, folder / f"{name}.ipynb")
        figures = save_figures(notebook, folder / "figures" / name)
    print(f"{name} ran in {time.perf_counter() - start:.0f} s")
    print("\n".join(str(path) for path in [folder / f"{name}.ipynb", *figures]))
    return True


def put_in(notebook: nbformat.NotebookNode, path: Path, n_domains: int) -> None:
    """Let the first steps open this file, and leave out what its data has nothing for; tags of the cells say which."""
    import anndata as ad
    import spatialdata as sd

    data = sd.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path, backed="r")
    in_spatialdata = isinstance(data, sd.SpatialData)
    table = next(iter(data.tables.values())) if in_spatialdata else data
    names = table.var["gene_name"] if "gene_name" in table.var else table.var_names
    pairs = [pair for pair in PAIRS if set(pair) <= set(map(str, names))]
    absent = {"truth"} | ({"genes"} if not table.n_vars else set()) | ({"pairs"} if not pairs else set())
    if not (data.images if in_spatialdata else data.uns.get("spatial")):
        absent.add("image")
    notebook.cells = [cell for cell in notebook.cells if not absent & {*cell.metadata.get("tags", [])}]

    lines = [f"data = sd.read_zarr({str(path)!r})" if in_spatialdata else f"data = ad.read_h5ad({str(path)!r})"]
    lines += [f"table = data.tables[{next(iter(data.tables))!r}]" if in_spatialdata else "table = data"]
    if "gene_name" in table.var:  # where the rows are numbered, as in Ensembl
        lines += ['table.var_names = table.var["gene_name"].astype(str).to_numpy()', "table.var_names_make_unique()"]
    lines += [f'pairs = pd.DataFrame({pairs}, columns=["source", "target"])', f"n_domains = {n_domains}", "data"]
    for cell in notebook.cells:
        if cell.id == "load":
            cell.source = "import anndata as ad\nimport spatialdata as sd\n\n" + "\n".join(lines)
        if cell.id == "keep" and not in_spatialdata:
            cell.source = 'data.write_zarr("multist_result.zarr")'


def save_figures(notebook: nbformat.NotebookNode, folder: Path) -> list[Path]:
    """Write every picture among the outputs, named after its cell."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                path = folder / f"{len(figures) + 1:02d}_{cell.id}.png"
                path.write_bytes(base64.b64decode(output.data["image/png"]))
                figures.append(path)
    return figures


if __name__ == "__main__":
    sys.exit(main())
