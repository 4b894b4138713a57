"""What the README says of scanpy and squidpy runs as it stands there."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.access.tables import copy_data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_chain_into_scanpy_and_squidpy(embedded_tissue, code_of, tmp_path, monkeypatch):
    plt.switch_backend("agg")
    sdata = copy_data(embedded_tissue)
    mt.tl.multist_domains(sdata, 5, config=mt.tl.MultiSTConfig(epochs=2))
    monkeypatch.chdir(tmp_path)
    sdata.tables["table"].uns["interactions"][["source", "target"]].to_csv("pairs.csv", index=False)
    code = code_of("On into scanpy and squidpy")
    for name in ("rank_genes_groups", "nhood_enrichment", "co_occurrence", "spatial_scatter", "tl.ligrec", "pl.ligrec"):
        assert name in code
    names: dict[str, Any] = {"mt": mt, "sdata": sdata}
    exec(compile(code, "README.md", "exec"), names)
    assert len(plt.get_fignums()) >= 3
    plt.close("all")
    # what follows reads the object that has the image, not the copy that was normalised for scanpy
    further = code_of("And further")
    exec(compile(further, "README.md", "exec"), names)
    assert "no image" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "multist_pseudotime" in sdata.tables["table"].obs and "multist_pseudotime" not in names["adata"].obs
    adata = names["adata"]
    assert set(adata.uns["rank_genes_groups"]["names"].dtype.names) == set("01234")
    assert adata.uns["multist_domain_nhood_enrichment"]["zscore"].shape == (5, 5)
    assert adata.uns["multist_domain_co_occurrence"]["occ"].shape[:2] == (5, 5)
    sdata.write(tmp_path / "result.zarr")
    assert isinstance(sdata.tables["table"].uns["multist"]["ligrec"]["pairs"], pd.DataFrame)
    np.testing.assert_array_equal(sdata.tables["table"].X.data, embedded_tissue.tables["table"].X.data)
