"""Embeddings of named models: what is recorded of them, and what is kept of their work."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pytest
import torch

from multist._settings import settings
from multist.histology import kept
from multist.pp import embed_histology

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: multist[encoders]")
    monkeypatch.setattr(settings, "cache_dir", tmp_path / "cache")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=8
    )
    return save(transformers.ViTModel(config, add_pooling_layer=False), tmp_path / "model")


def save(network, folder):
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_processor_type": "ViTImageProcessor", "size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        )
    )
    return f"transformers:{folder}"


@pytest.fixture
def patches_seen(monkeypatch):
    """How many patches went through a network in each call."""
    from multist.histology.registry import PatchEncoder

    seen: list[int] = []
    encode = PatchEncoder._encode

    def counted(self, patches, *rest):
        seen.append(len(patches))
        return encode(self, patches, *rest)

    monkeypatch.setattr(PatchEncoder, "_encode", counted)
    return seen


def test_what_is_known_of_the_model_is_recorded_and_can_be_stored(tissue_table, model, tmp_path):
    embed_histology(tissue_table, model, device="cpu")
    tissue_table.write_h5ad(tmp_path / "a.h5ad")
    for table in (tissue_table, ad.read_h5ad(tmp_path / "a.h5ad")):
        params = table.uns["multist"]["histology"]
        assert params["encoder"] == model and params["model"]["library"].startswith("transformers ")
        assert len(params["model"]["weights"]) == 32 and params["model"]["precision"] == "float32"
        assert params["model"]["transform"]["resize"] == 16 and list(params["model"]["transform"]["mean"]) == [0.5] * 3
    assert table.obsm["X_histology"].shape == (tissue_table.n_obs, 8)


def test_the_second_time_nothing_is_computed_in_whatever_order_rows_are(tissue_table, model, patches_seen):
    embed_histology(tissue_table, model, device="cpu", batch_size=64)
    assert sum(patches_seen) == tissue_table.n_obs
    first = tissue_table.obsm["X_histology"].copy()
    order = np.random.default_rng(0).permutation(tissue_table.n_obs)
    shuffled = tissue_table[order].copy()
    embed_histology(shuffled, model, device="cpu", batch_size=50)
    assert sum(patches_seen) == tissue_table.n_obs
    assert np.array_equal(shuffled.obsm["X_histology"], first[order])


def test_where_the_image_changed_only_those_patches_are_computed(tissue_table, model, patches_seen):
    embed_histology(tissue_table, model, device="cpu")
    first = tissue_table.obsm["X_histology"].copy()
    (section,) = tissue_table.uns["spatial"].values()
    image = section["images"]["hires"] = section["images"]["hires"].copy()
    image[: image.shape[0] // 3] = 90
    patches_seen.clear()
    embed_histology(tissue_table, model, device="cpu")
    changed = (tissue_table.obsm["X_histology"] != first).any(axis=1)
    assert 0 < changed.sum() <= sum(patches_seen) < tissue_table.n_obs


@pytest.mark.parametrize("change", [{"patch_size": 3.0}, {"weights": True}])
def test_other_parameters_or_weights_are_another_result(tissue_table, model, patches_seen, change, tmp_path):
    embed_histology(tissue_table, model, device="cpu")
    first = tissue_table.obsm["X_histology"].copy()
    if change.pop("weights", False):
        import transformers

        torch.manual_seed(5)
        other = transformers.ViTModel(
            transformers.ViTConfig.from_pretrained(tmp_path / "model"), add_pooling_layer=False
        )
        model = save(other, tmp_path / "model")
    embed_histology(tissue_table, model, device="cpu", **change)
    assert sum(patches_seen) == 2 * tissue_table.n_obs
    assert not np.allclose(tissue_table.obsm["X_histology"], first)


def test_a_broken_file_is_made_anew(tissue_table, model, caplog):
    embed_histology(tissue_table, model, device="cpu")
    first = tissue_table.obsm["X_histology"].copy()
    (path,) = (settings.cache_dir / "histology").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level("WARNING", logger="multist"):
        embed_histology(tissue_table, model, device="cpu")
    assert "cannot be read and is made anew" in caplog.text and path.stat().st_size > 100
    assert np.array_equal(tissue_table.obsm["X_histology"], first)


def test_a_cache_that_cannot_be_written_costs_no_result(tissue_table, model, caplog, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(settings, "cache_dir", tmp_path / "file")
    with caplog.at_level("WARNING", logger="multist"):
        embed_histology(tissue_table, model, device="cpu")
    assert "cannot be kept" in caplog.text and np.isfinite(tissue_table.obsm["X_histology"]).all()


def test_what_is_too_large_is_not_kept(tissue_table, model, monkeypatch):
    monkeypatch.setattr(kept, "_MAX_BYTES", 100)
    embed_histology(tissue_table, model, device="cpu")
    assert not (settings.cache_dir / "histology").exists()


def test_of_unnamed_encoders_nothing_is_kept(tissue_table, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "cache_dir", tmp_path / "cache")
    embed_histology(tissue_table, lambda batch: batch.mean(dim=(2, 3)), device="cpu")
    assert not settings.cache_dir.exists() and "model" not in tissue_table.uns["multist"]["histology"]
