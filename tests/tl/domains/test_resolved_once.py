"""A call goes down to the user's object once and up once, and a refused one leaves no trace."""

from __future__ import annotations

from importlib import import_module

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


def counted(monkeypatch, name: str) -> list[int]:
    """Grows by one with each call of a function of the run's."""
    calls: list[int] = []
    function = getattr(RUN, name)

    def call(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)

    monkeypatch.setattr(RUN, name, call)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("use_image", [True, False])
def test_labels_are_read_once_in_one_transaction(labelled, read_blocks, quick, monkeypatch, use_image):
    resolved, transactions = counted(monkeypatch, "resolve"), counted(monkeypatch, "restored_on_error")
    read_blocks.clear()
    mt.tl.multist_domains(labelled, 2, config=quick, use_image=use_image)
    assert sum(read_blocks) == labelled["cells"].size
    assert len(resolved) == 1 and len(transactions) == 1
    table = labelled.tables["table"]
    assert {"X_pca", "X_multist"} <= set(table.obsm) and ("X_histology" in table.obsm) == use_image
    assert table.obs["multist_domain"].nunique() == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        lambda data, quick: mt.tl.pseudotime(data, root="left", cluster_key="half", use_rep="X_pca", n_neighbors=5),
        lambda data, quick: mt.tl.border_sharpness(data, cluster_key="half", n_null=38),
        lambda data, quick: mt.tl.cluster_domains(data, 2, use_rep="X_pca"),
        lambda data, quick: mt.MultiST(quick).fit(data),
    ],
    ids=["pseudotime", "border_sharpness", "cluster_domains", "fit"],
)
def test_each_tool_reads_labels_once(labelled, read_blocks, quick, call):
    mt.pp.embed_expression(labelled, n_comps=5)
    table = labelled.tables["table"]
    table.obs["half"] = np.where(np.arange(table.n_obs) % 12 < 6, "left", "right")
    read_blocks.clear()
    call(labelled, quick)
    assert sum(read_blocks) == labelled["cells"].size
    assert "spatial_connectivities" in table.obsp


@pytest.mark.parametrize(
    "options", [{"use_rep": "nothing"}, {"n_domains": 10_000}, {"labels_key": "nothing"}, {"use_image": "yes"}]
)
@pytest.mark.parametrize("copy", [False, True])
def test_a_view_stays_a_view_when_a_call_is_refused(embedded_table, quick, options, copy):
    view, frame = embedded_table[10:200], embedded_table.obs
    with pytest.raises((KeyError, ValueError)):
        mt.tl.multist_domains(view, **{"n_domains": 3, "config": quick, "copy": copy, **options})
    assert view.is_view and embedded_table.obs is frame


def test_a_view_stays_a_view_when_the_last_step_fails(embedded_table, quick, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    del embedded_table.obsp["spatial_connectivities"]
    monkeypatch.setattr("multist.cluster.domains.fit_mixture", interrupted)
    view = embedded_table[10:200]
    with pytest.raises(KeyboardInterrupt):
        mt.tl.multist_domains(view, 3, config=quick, use_image=False)
    assert view.is_view and "X_multist" not in view.obsm and "spatial_connectivities" not in view.obsp


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
