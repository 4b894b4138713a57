"""Execute the quickstart and keep what it makes: ``python tutorials/run.py FOLDER [DATA [N_DOMAINS]]``.

FOLDER receives the executed notebook, its figures and the SpatialData or AnnData it saves. DATA is an ``.h5ad`` or
``.zarr``; without it the notebook takes the tissue that comes with the package.
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

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")


def main() -> int:
    """Execute, save, and say where things are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("data", type=Path, nargs="?", help="an .h5ad or .zarr of yours")
    parser.add_argument("n_domains", type=int, nargs="?", help="how many domains to look for")
    arguments = parser.parse_args()
    if arguments.data is not None:
        path = arguments.data.expanduser().resolve()
        if path.suffix not in (".h5ad", ".zarr") or not path.exists():
            parser.error(f"{path} is not an existing .h5ad or .zarr")
        os.environ["MULTIST_DEMO_INPUT"] = str(path)
    if arguments.n_domains is not None:
        os.environ["MULTIST_DEMO_DOMAINS"] = str(arguments.n_domains)

    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
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
        print(error, file=sys.stderr)
        return 1
    finally:
        # also after an error: the cells before it tell what went wrong
        nbformat.write(notebook, folder / NOTEBOOK.name)
        figures = save_figures(notebook, folder / "figures")
    print(f"{NOTEBOOK.name} ran in {time.perf_counter() - start:.0f} s")
    print("\n".join(str(path) for path in [folder / NOTEBOOK.name, *sorted(folder.glob("*.zarr")), *figures]))
    return 0


def save_figures(notebook: nbformat.NotebookNode, folder: Path) -> list[Path]:
    """Write every picture among the outputs, named after its cell."""
    folder.mkdir(exist_ok=True)
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
