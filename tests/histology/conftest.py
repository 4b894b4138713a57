"""Tiny models with random weights, saved to a folder as their libraries save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

TIMM_SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from multist._settings import settings

    monkeypatch.setattr(settings, "cache_dir", tmp_path / "cache")


@pytest.fixture(scope="session")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed: pip install 'multist[encoders]'")


@pytest.fixture(scope="session")
def timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported: {error}")
    return timm


@pytest.fixture(scope="session")
def timm_folder(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A timm model of 32 pixels."""
    folder = tmp_path_factory.mktemp("timm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        says = {"input_size": (3, 32, 32)}  # what it was trained on
        model = timm.create_model("vit_tiny_patch16_224", num_classes=5, pretrained_cfg_overlay=says, **TIMM_SHAPE)
    timm.models._hub.save_for_hf(model, folder, model_args=TIMM_SHAPE, safe_serialization="both")
    return folder


@pytest.fixture(scope="session")
def vit(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers model with a pooling, of 32 pixels cut from 40."""
    folder = tmp_path_factory.mktemp("vit")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTModel(config, add_pooling_layer=True).save_pretrained(folder)
    says = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 40},
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.25, 0.3],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(says))
    return folder
