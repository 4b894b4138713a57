from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from multist.encoders.pretrained import is_model_name, load_pretrained
from multist.encoders.registry import get_encoder


def test_names_of_models(tmp_path):
    assert is_model_name("owner/model-v2")
    assert not is_model_name("texture") and not is_model_name(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert is_model_name(str(tmp_path))


@pytest.mark.skipif(importlib.util.find_spec("transformers") is not None, reason="transformers is installed")
def test_missing_transformers_says_what_to_install():
    with pytest.raises(ImportError, match=r"multist\[encoders\]"):
        load_pretrained("owner/model")


def test_saved_vision_model_embeds_patches(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    encoder = get_encoder(str(tmp_path), device="cpu")
    assert encoder.pixels == 32
    patches = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with encoder.frozen() as encode:
        assert encode(patches).shape == (3, 16)
