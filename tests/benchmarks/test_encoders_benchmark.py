"""The benchmark of encoders: its features of scikit-image, and its table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import multist as mt


def test_features_tell_stripes_from_specks_of_one_colour(load):
    stripes = np.tile(np.repeat([0.4, 0.8], 4), 8)[None, :].repeat(64, axis=0)
    specks = np.random.default_rng(0).permutation(stripes.ravel()).reshape(64, 64)
    batch = torch.from_numpy(np.stack([np.stack([each] * 3) for each in (stripes, specks, stripes)])).float()
    first, second, third = load("encoders").scikit_image(batch)
    assert np.isfinite(first).all() and np.array_equal(first, third) and np.abs(first - second).max() > 0.1


@pytest.mark.slow
def test_the_table_has_a_row_for_each_section(run_benchmark, tmp_path):
    tissue = mt.datasets.layered_tissue(n_spots=150, n_genes=100, image_size=400, format="anndata")
    tissue.write_h5ad(tmp_path / "layered_tissue.h5ad")
    done = run_benchmark("encoders", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    head, _, row = done.stdout.strip().splitlines()
    assert head == "| section | domains | texture | scikit-image |" and row.startswith("| layered_tissue | 7 | .")
