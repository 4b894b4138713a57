"""Blocks of rows, here and on the workers of a dask client."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

import multist as mt
from multist.access.blocks import block_results, row_blocks

N_OBS, N_GENES, CHUNK = 1200, 60, 150


def made_here(block: np.ndarray, folder: str, parent: int) -> sparse.csr_matrix:
    """Make a chunk, say in which process, and end the first process that makes the third chunk."""
    Path(folder, f"{os.getpid()}").touch()
    start = int(block[0, 0]) * CHUNK
    if start == 2 * CHUNK and os.getpid() != parent:
        try:
            Path(folder, "ended").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    rng = np.random.default_rng(start)
    kind = (np.arange(start, start + CHUNK) // 3 % 3)[:, None]
    return sparse.csr_matrix(rng.poisson(np.where(np.arange(N_GENES) % 3 == kind, 6.0, 1.0)).astype(np.float32))


def lazy(folder: Path) -> ad.AnnData:
    """Counts that are made chunk by chunk, each time anew."""
    numbers = da.from_array(np.arange(N_OBS // CHUNK)[:, None], chunks=(1, 1))
    counts = numbers.map_blocks(
        made_here,
        str(folder),
        os.getpid(),
        chunks=((CHUNK,) * (N_OBS // CHUNK), (N_GENES,)),
        dtype=np.float32,
        meta=sparse.csr_matrix((0, 0), dtype=np.float32),
    )
    y, x = np.divmod(np.arange(N_OBS), 40)
    return ad.AnnData(counts, obsm={"spatial": np.column_stack([x, y]) * 100.0})


def processes(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - {"ended"}


@pytest.mark.slow
def test_work_gets_its_own_rows_in_order():
    values = da.from_array(np.arange(40, dtype=np.float32).reshape(20, 2), chunks=((7, 13), 2))
    found = list(block_results(values, lambda block, one: block.sum(axis=1).A1 - one, np.arange(20) * 4 + 1))
    assert [rows for rows, _ in found] == [rows for rows, _ in row_blocks(values)]
    assert not np.concatenate([each for _, each in found]).any()


def test_a_worker_gives_all_blocks_of_a_chunk(monkeypatch, no_dashboard):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("multist.access.blocks._ROWS_AT_ONCE", 3)
    values = da.from_array(np.arange(40, dtype=np.float32).reshape(20, 2), chunks=((7, 13), 2))

    def work(block, numbers):
        return block.sum(axis=1).A1, numbers

    expected = list(block_results(values, work, np.arange(20)))
    # in threads of this process, so that they see the small blocks
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, **no_dashboard):
        found = list(block_results(values, work, np.arange(20)))
    assert [rows for rows, _ in found] == [rows for rows, _ in expected] and len(found) == 8
    np.testing.assert_array_equal(
        np.concatenate([result for _, result in found], axis=1),
        np.concatenate([result for _, result in expected], axis=1),
    )


@pytest.mark.slow
def test_two_workers_one_of_which_is_killed_give_the_same_components_and_read_every_chunk(
    tmp_path, monkeypatch, two_workers
):
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    own.mkdir()
    theirs.mkdir()
    monkeypatch.setattr("multist.pp._expression_axes._MAX_EXACT_SPOTS", 500)  # as of many cells
    expected = lazy(own)
    mt.pp.embed_expression(expected, n_comps=10, n_top_genes=40)
    assert processes(own) == {str(os.getpid())}
    with two_workers(__name__):
        found = lazy(theirs)
        mt.pp.embed_expression(found, n_comps=10, n_top_genes=40)
    assert (theirs / "ended").exists(), "a worker was killed"
    assert str(os.getpid()) not in processes(theirs), "chunks are made by the workers alone"
    np.testing.assert_array_equal(found.obsm["X_pca"], expected.obsm["X_pca"])
    assert found.uns["pca"]["genes"].tolist() == expected.uns["pca"]["genes"].tolist()
