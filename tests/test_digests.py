"""What the default way gives on the tissue that comes with the package, held against what it gave before.

A change of the house must leave these numbers alone; a change of the method remakes them::

    python tests/test_digests.py

which also says which stages differ from the stored ones in any bit.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt

STORED = Path(__file__).with_suffix(".json")
BEFORE: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
TOLERANCE = 2e-3
"""Relative; other processors add up in another order, and training carries that on."""


def results() -> dict[str, Any]:
    """Each stage's result on one small section."""
    data = mt.datasets.layered_tissue(n_spots=400, n_genes=200, image_size=600, format="anndata")
    mt.pp.normalize_histology(data)
    mt.pp.embed_histology(data)
    histology = data.obsm["X_histology"]
    # so small a section shows too little for the image to take part; domains with noise do
    rng, codes = np.random.default_rng(0), pd.factorize(data.obs["domain"])[0]
    data.obsm["X_histology"] = 2 * rng.normal(size=(7, 12))[codes] + rng.normal(size=(data.n_obs, 12))
    mt.tl.multist_domains(data, 7, config=mt.tl.MultiSTConfig(epochs=20), device="cpu")
    mt.tl.pseudotime(data, root=data.obs_names[0])
    pairs = pd.DataFrame({"source": data.var_names[0:20:2], "target": data.var_names[1:21:2]})
    mt.tl.interactions(data, pairs, n_perms=50, min_edges=5, patch_size=2)
    mt.tl.border_sharpness(data, n_null=38)
    found = data.uns["multist"]
    sharp = found["border_sharpness"]
    numeric = found["interactions"]["pairs"].select_dtypes("number").drop(columns=["cluster_fdr", "border_fdr"])
    return {
        "image": data.uns["spatial"]["section1"]["images"]["hires_normalized"],
        "expression": data.obsm["X_pca"],
        "histology": histology,
        "graph": data.obsp["spatial_distances"],
        "embedding": data.obsm["X_multist"],
        "attention": data.obsp["multist_attention"],
        "image_weight": data.obs["multist_image_weight"],
        "domains": data.obs["multist_domain"].cat.codes,
        "confidence": data.obs["multist_confidence"],
        "pseudotime": data.obs["multist_pseudotime"],
        "interactions": numeric,
        "borders": found["interactions"]["borders"][["n_edges", "length"]],
        "border_sharpness": sharp.select_dtypes("number").drop(columns=["expression_fdr", "histology_fdr"]),
    }


def digest(result: Any) -> dict[str, Any]:
    """Shape, summary numbers, and a hash of all bits."""
    values = np.ascontiguousarray(result.toarray() if sparse.issparse(result) else result)
    finite = np.nan_to_num(values.astype(np.float64)).reshape(len(values), -1)
    # weights that are not symmetric, so that rows or columns that change places are seen
    rows, columns = (1 + np.sin(np.arange(1, n + 1)) for n in finite.shape)
    return {
        "shape": list(values.shape),
        "bits": hashlib.sha256(values.tobytes()).hexdigest()[:16],
        "numbers": [float(x) for x in (np.linalg.norm(finite), rows @ finite @ columns, np.isnan(values).sum())],
    }


def differs(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    near = {"rtol": TOLERANCE, "atol": TOLERANCE * before["numbers"][0]}
    return now["shape"] != before["shape"] or not np.allclose(now["numbers"], before["numbers"], **near)


@pytest.mark.slow
@pytest.mark.full_training
def test_results_are_what_they_were():
    now = {stage: digest(result) for stage, result in results().items()}
    others = {stage: (now[stage], before) for stage, before in BEFORE.items() if differs(now[stage], before)}
    assert BEFORE and not others, (
        f"another than stored; if the method was meant to change: python {Path(__file__).name}\n{others}"
    )


def test_a_digest_tells_changed_results_from_the_same():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 4))
    norm, sums, _ = digest(values)["numbers"]
    for other in (values[::-1], values[:, ::-1], values + 0.05):
        assert abs(digest(other)["numbers"][1] - sums) > TOLERANCE * norm


if __name__ == "__main__":
    made = {stage: digest(result) for stage, result in results().items()}
    changed = [stage for stage in made if made[stage]["bits"] != BEFORE.get(stage, {}).get("bits")]
    sys.stdout.write(f"changed in a bit: {', '.join(changed) or 'nothing'}\n")
    STORED.write_text(json.dumps(made, indent=1) + "\n")
