"""A call goes down to the user's object once and up once, and keeps what it said."""

from __future__ import annotations

from importlib import import_module
from unittest.mock import patch

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from spatialdata.models import Image2DModel, Labels2DModel, TableModel

import multist as mt

RUN = import_module("multist.access.run")


@pytest.fixture
def read_blocks() -> list[int]:
    """Grows by the pixels of the label image that are read."""
    return []


@pytest.fixture
def labelled(read_blocks) -> sd.SpatialData:
    """Cells as labels on an image of two halves, of which counts tell as much."""
    side, width = 12, 10
    rng = np.random.default_rng(0)
    labels = np.kron(np.arange(1, side * side + 1).reshape(side, side), np.ones((width, width), int)).astype(np.int32)

    def read(block):
        read_blocks.append(block.size)
        return block

    half = (np.arange(side * side) % side) >= side // 2
    image = rng.integers(150, 230, (3, side * width, side * width)).astype(np.uint8)
    image[:, :, side * width // 2 :] -= 60
    counts = rng.poisson(np.where(half[:, None], 6.0, 3.0) + np.arange(30) % 4).astype(np.float32)
    names = [f"c{i}" for i in range(side * side)]
    table = ad.AnnData(
        counts, obs=pd.DataFrame({"region": "cells", "cell": np.arange(1, side * side + 1)}, index=names)
    )
    table.obs["region"] = table.obs["region"].astype("category")
    lazy = da.from_array(labels, chunks=60).map_blocks(read, dtype=labels.dtype, meta=np.empty((0, 0), labels.dtype))
    return sd.SpatialData(
        images={"he": Image2DModel.parse(image, dims=("c", "y", "x"), c_coords=["r", "g", "b"])},
        labels={"cells": Labels2DModel.parse(lazy, dims=("y", "x"))},
        tables={"table": TableModel.parse(table, region="cells", region_key="region", instance_key="cell")},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        lambda data, quick: mt.tl.multist_domains(data, 2, config=quick, use_image=True),
        lambda data, quick: mt.tl.pseudotime(data, root="left", cluster_key="half", use_rep="X_mine", n_neighbors=5),
        lambda data, quick: mt.tl.border_sharpness(data, cluster_key="half", n_null=38),
        lambda data, quick: mt.tl.cluster_domains(data, 2, use_rep="X_mine"),
        lambda data, quick: mt.MultiST(quick).fit(data),
    ],
    ids=["multist_domains", "pseudotime", "border_sharpness", "cluster_domains", "fit"],
)
def test_each_tool_resolves_once_reads_labels_once_and_opens_one_transaction(labelled, read_blocks, quick, call):
    table = labelled.tables["table"]
    table.obsm["X_mine"] = table.X[:, :5]
    table.obs["half"] = np.where(np.arange(table.n_obs) % 12 < 6, "left", "right")
    read_blocks.clear()
    with (
        patch.object(RUN, "resolve", wraps=RUN.resolve) as resolved,
        patch.object(RUN, "restored_on_error", wraps=RUN.restored_on_error) as transactions,
    ):
        call(labelled, quick)
    assert sum(read_blocks) == labelled["cells"].size
    assert resolved.call_count == transactions.call_count == 1
    assert "spatial_connectivities" in table.obsp


@pytest.mark.slow
def test_decisions_are_said_and_kept(tissue_table, quick, capsys):
    mt.pp.embed_expression(tissue_table)
    capsys.readouterr()
    mt.tl.multist_domains(tissue_table, [3, 4], config=quick, use_image=False)
    mt.tl.pseudotime(tissue_table, n_neighbors=8)
    said = capsys.readouterr().err
    kept = tissue_table.uns["multist"]["decisions"]
    decided = [*kept["multist_domains"], *kept["cluster_domains"], *kept["pseudotime"]]
    for decision in ("using the expression embedding in obsm['X_pca']", "running pp.spatial_graph"):
        assert any(decision in line for line in kept["multist_domains"]), decision
    assert not any("using the graph" in line for line in kept["multist_domains"]), "it has been made by the call"
    assert any("domains, of 3 to 4" in line for line in kept["cluster_domains"])
    assert any("pseudotime starts from" in line for line in kept["pseudotime"])
    assert all(f"multist: {line}" in said or f"multist: warning: {line}" in said for line in decided)
    assert {"embed_expression", "multist_domains", "cluster_domains", "pseudotime"} == set(kept)
    mt.tl.cluster_domains(tissue_table, 3)
    left = tissue_table.uns["multist"]["decisions"]
    assert set(left["multist_domains"]) == set(kept["multist_domains"])
    assert not any("domains, of 3 to 4" in line for lines in left.values() for line in lines)
