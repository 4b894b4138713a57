"""CPU time and peak memory of five calls, of one state of the sources or of several in turn.

``python benchmarks/calls.py OTHER/src src`` compares two: each run is a process of its own with one of them on its
path, and they take turns, so that whatever else the machine does falls on all. A call is the first in its process, so
what is compiled then counts. The last of the sources makes the tissue.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

CALLS = {
    "multist_domains": lambda mt, bare, full: mt.tl.multist_domains(bare, 7, device="cpu"),
    "cluster_domains": lambda mt, bare, full: mt.tl.cluster_domains(full, range(5, 10)),
    "pseudotime": lambda mt, bare, full: mt.tl.pseudotime(full),
    "interactions": lambda mt, bare, full: mt.tl.interactions(full, full.uns["interactions"][["source", "target"]]),
    "border_sharpness": lambda mt, bare, full: mt.tl.border_sharpness(full),
}


def make(folder: Path, n_spots: int) -> None:
    """One tissue as it comes, and with everything that later calls read."""
    import multist as mt

    mt.settings.progress = False
    tissue = mt.datasets.layered_tissue(n_spots=n_spots, n_genes=2000, image_size=2000, format="anndata")
    tissue.write_h5ad(folder / "bare.h5ad")
    mt.tl.multist_domains(tissue, 7, device="cpu")
    tissue.write_h5ad(folder / "full.h5ad")


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Each call in a fork of this process, which has imported what they need and read the data."""
    import anndata as ad
    import scanpy  # noqa: F401
    import squidpy  # noqa: F401
    import torch  # noqa: F401

    import multist as mt

    mt.settings.progress = False
    bare, full = (ad.read_h5ad(folder / f"{name}.h5ad") for name in ("bare", "full"))
    found = {}
    for name, call in CALLS.items():
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                start = time.process_time()
                call(mt, bare, full)
                seconds = time.process_time() - start
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                os.write(write, json.dumps({"seconds": seconds, "peak_mb": peak}).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            found[name] = json.load(answer)
        os.wait()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=["src"], help="folders that hold the package, oldest first")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--spots", type=int, default=3600)
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/calls.json"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(measure(options.child)))
        return
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(Path(options.sources[-1]).resolve()))
        make(Path(folder), options.spots)
        for repeat in range(options.repeats):
            for source in options.sources:
                env = os.environ | {"PYTHONPATH": str(Path(source).resolve()), "OMP_NUM_THREADS": "1"}
                command = [sys.executable, __file__, "--child", folder]
                done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
                for name, one in json.loads(done.stdout.splitlines()[-1]).items():
                    runs.append({"call": name, "source": source, "repeat": repeat, **one})
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(runs, indent=1))
    table = pd.DataFrame(runs).groupby(["call", "source"], sort=False)[["seconds", "peak_mb"]].median().unstack()
    print(table.round({"seconds": 2, "peak_mb": 0}).to_string())


if __name__ == "__main__":
    main()
