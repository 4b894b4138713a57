from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from multist.histology import pretrained, timm_model
from multist.histology.pretrained import load_pretrained
from multist.histology.registry import get_encoder

PATCHES = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
IN_UNIT = torch.from_numpy(PATCHES.transpose(0, 3, 1, 2)).float() / 255


def encoded(encoder: str, patches: np.ndarray) -> np.ndarray:
    with get_encoder(encoder, device="cpu").frozen() as encode:
        return encode(patches)


@pytest.mark.parametrize(("library", "extra"), [("timm", "timm"), ("transformers", "encoders")])
def test_a_missing_library_names_the_extra(library, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install 'multist\[{extra}\]'"):
        get_encoder(f"{library}:owner/model")


def test_a_torchvision_for_another_torch_is_named(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(pretrained, "import_module", broken)
    with pytest.raises(ImportError, match="torchvision::nms.*torch and torchvision must be builds for one another"):
        get_encoder("timm:owner/model")


@pytest.mark.parametrize("name", ["owner/model", "resnet18", "open_clip:owner/model", "timm:", ":owner/model"])
def test_unknown_names_say_what_a_name_looks_like(name):
    with pytest.raises(ValueError, match="'texture'.*'timm:NAME_OR_FOLDER'"):
        get_encoder(name)


@pytest.mark.slow
def test_transformers_gets_patches_as_it_was_trained_on_them(transformers, vit):
    encoder = get_encoder(f"transformers:{vit}", device="cpu")
    assert encoder.pixels == 40
    middle = IN_UNIT[:, :, 4:36, 4:36]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3]))
    with torch.no_grad():
        expected = transformers.ViTModel.from_pretrained(vit).eval()(pixel_values=(middle - mean) / std).pooler_output
    np.testing.assert_allclose(encoded(f"transformers:{vit}", PATCHES), expected.numpy(), atol=1e-5)


@pytest.mark.slow
def test_the_class_token_stands_in_for_a_pooling_that_was_never_trained(transformers, vit, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "plain")  # as many models of pathology are saved
    model = transformers.ViTModel.from_pretrained(vit, add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    first, second = (encoded(f"transformers:{folder}", PATCHES) for _ in range(2))
    assert np.array_equal(first, second)
    with torch.no_grad():
        hidden = model(load_pretrained(f"transformers:{folder}").transform(IN_UNIT)).last_hidden_state
    np.testing.assert_allclose(first, hidden[:, 0].numpy(), atol=1e-5)


@pytest.mark.slow
def test_missing_weights_are_refused_rather_than_drawn_at_random(transformers, vit, tmp_path):
    broken = shutil.copytree(vit, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    lost = next(name for name in weights if name.endswith("attention.query.weight") or name.endswith("q_proj.weight"))
    save_file({name: w for name, w in weights.items() if name != lost}, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="the saved weights lack"):
        get_encoder(f"transformers:{broken}")


@pytest.mark.slow
def test_imagenets_standardisation_is_taken_where_a_model_says_none(transformers, vit, tmp_path, caplog):
    silent = shutil.copytree(vit, tmp_path / "silent")
    (silent / "preprocessor_config.json").unlink()
    with caplog.at_level("WARNING", logger="multist"):
        transform = load_pretrained(f"transformers:{silent}").transform
    assert (transform.resize, transform.crop) == (32, 32) and transform.mean[0] == 0.485
    assert "does not say how it wants its images" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("says", "resize", "crop", "factor"),
    [
        ({"size": {"height": 48, "width": 48}, "do_center_crop": False}, 48, 48, 1),
        ({"size": 64, "crop_size": 32}, 64, 32, 1),
        ({"rescale_factor": 1 / 127.5}, 40, 32, 2),
        ({"do_rescale": False}, 40, 32, 255),
    ],
)
def test_preprocessing_is_read_in_its_several_forms(transformers, vit, tmp_path, says, resize, crop, factor):
    folder = shutil.copytree(vit, tmp_path / "model")
    config = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(config | says))
    transform = load_pretrained(f"transformers:{folder}").transform
    assert (transform.resize, transform.crop) == (resize, crop) and transform.factor == pytest.approx(factor)


def test_timm_gets_patches_as_it_was_trained_on_them(timm, timm_folder):
    encoder = get_encoder(f"timm:{timm_folder}", device="cpu")
    assert encoder.pixels == 35, "32 pixels are nine tenths of the patch"
    model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True, num_classes=0).eval()
    with torch.no_grad():
        expected = model((IN_UNIT[:, :, 1:33, 1:33] - 0.5) / 0.5)
    np.testing.assert_allclose(encoded(f"timm:{timm_folder}", PATCHES[:, :35, :35]), expected.numpy(), atol=1e-5)
    assert load_pretrained(f"timm:{timm_folder}").licence == "apache-2.0"


def test_an_unknown_name_of_timm_lists_its_kin(timm):
    with pytest.raises(ValueError, match="resnet18.*list_models.*'resnet18"):
        get_encoder("timm:resnet18.unheard_of")


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("resnet18", "timm/resnet18.a1_in1k"),
        ("owner/model@v1", "owner/model@v1"),
    ],
)
def test_names_of_timm_are_pages_of_the_hub(timm, name, repository):
    from multist.histology import timm_model

    assert timm_model.repository(name, f"timm:{name}") == repository


@pytest.mark.slow
@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_folders_without_a_model_are_named(library, request, tmp_path):
    request.getfixturevalue(library)
    with pytest.raises(ValueError, match="holds no config.json"):
        get_encoder(f"{library}:{tmp_path}")
    (tmp_path / "config.json").write_text('{"architecture": "no_such_thing", "model_type": "no_such_thing"}')
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"{library} does not know the model"):
        get_encoder(f"{library}:{tmp_path}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "timm_folder"])
def test_loading_leaves_the_random_state_alone_and_is_the_same_each_time(kind, request):
    name = f"{'timm' if kind == 'timm_folder' else 'transformers'}:{request.getfixturevalue(kind)}"
    state = torch.random.get_rng_state()
    first = load_pretrained(name)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(7)
    assert load_pretrained(name).weights == first.weights and first.library.startswith(name.split(":")[0])


@pytest.mark.slow
def test_half_precision_is_for_named_models_on_a_gpu(transformers, vit):
    assert get_encoder(f"transformers:{vit}", device="cuda:1").precision == "float16"
    assert get_encoder(f"transformers:{vit}", device="cpu").precision == "float32"
    assert get_encoder(torch.nn.Identity(), device="cuda").precision == "float32"


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def pickled(vit: Path, folder: Path, **more) -> Path:
    """A copy of the model whose weights are a ``.bin``."""
    copy = shutil.copytree(vit, folder)
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights | more, copy / "pytorch_model.bin")
    return copy


@pytest.mark.slow
def test_a_bin_of_numbers_is_read_and_one_that_holds_code_is_refused_and_not_run(transformers, vit, tmp_path):
    sound = pickled(vit, tmp_path / "sound")
    assert np.array_equal(encoded(f"transformers:{sound}", PATCHES), encoded(f"transformers:{vit}", PATCHES))
    evil = pickled(vit, tmp_path / "evil", more=Intruder(tmp_path / "was here"))
    with pytest.raises(ValueError, match="hold more than numbers, which would be run: take .* .safetensors") as refused:
        get_encoder(f"transformers:{evil}")
    assert not (tmp_path / "was here").exists() and "weights_only" not in str(refused.value)
    (evil / "pytorch_model.bin").write_bytes((sound / "pytorch_model.bin").read_bytes()[:2000])
    with pytest.raises(ValueError, match="damaged"):
        get_encoder(f"transformers:{evil}")


def test_timm_is_given_no_pickle(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    torch.save({"a": Intruder(tmp_path / "was here")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds no weights as .safetensors; other files may hold code"):
        timm_model.load(tmp_path, "timm:x")
    assert not (tmp_path / "was here").exists()
