"""A model in a folder comes back as it was, and no folder is read that is not whole and of this kind."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

import multist as mt
from multist.model import checkpoint
from multist.model.config import MultiSTConfig

pytestmark = pytest.mark.slow  # the first to run fits what all of them read

RECORD = checkpoint.RECORD


@pytest.fixture(scope="module")
def kept(fitted, tmp_path_factory) -> Path:
    """A folder with the fitted model; not to be changed."""
    folder = tmp_path_factory.mktemp("kept") / "nested" / "model"
    fitted[0].save(folder)
    return folder


@pytest.fixture
def folder(kept, tmp_path) -> Path:
    """A copy of it, to spoil."""
    return Path(shutil.copytree(kept, tmp_path / "model"))


def rewrite(folder: Path, *, drop: str | None = None, quietly: bool = True, **changes) -> None:
    """Change the head or the record, or leave an array out, as one would who knows how the checksum is made."""
    head = json.loads((folder / RECORD).read_text())
    for name, value in changes.items():
        (head if name in head else head["record"])[name] = value
    if drop is not None:
        arrays = load_file(folder / head["arrays"])
        head["names"] = [name for name in head["names"] if name != drop or not quietly]
        del arrays[drop]
        save_file(arrays, folder / head["arrays"])
        head["sha256"] = hashlib.sha256((folder / head["arrays"]).read_bytes()).hexdigest()
    (folder / RECORD).write_text(json.dumps(head))


def arrays_of(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


def test_a_model_comes_back_as_it_was(fitted, recognised, sections, kept):
    model, table = fitted
    new = sections[1]
    back = mt.MultiST.load(kept, device="cpu")
    assert repr(back) == repr(model) and back.config == model.config and back.random_state == model.random_state
    state = torch.get_rng_state()
    back.domains(new)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(new.obsm["X_multist"], recognised.obsm["X_multist"])
    np.testing.assert_array_equal(new.obsm["X_histology"], recognised.obsm["X_histology"])
    pd.testing.assert_frame_equal(new.obs, recognised.obs)
    assert new.uns["multist"]["params"] == recognised.uns["multist"]["params"]
    back.domains(table.copy(), 4)  # it knows its own embedding


def test_json_and_safetensors_only(kept):
    assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".safetensors"]
    record = json.loads((kept / RECORD).read_text())
    assert record["kind"] == "model" and record["format"] == checkpoint.FORMAT
    assert record["record"]["genes"]["library"] and record["record"]["stain"] == {"method": "patches"}
    assert not any("patch_" in name for name in load_file(arrays_of(kept)))


@pytest.mark.parametrize("what", ["another embedding", "no domains"])
def test_every_kind_of_model_comes_back(what, sections, quick, tmp_path):
    first, new = sections
    options = {"use_image": False}
    if what == "another embedding":
        options["use_rep"] = "mine"
        for table in sections:
            table.obsm["mine"] = np.random.default_rng(table.n_vars).normal(size=(table.n_obs, 6))
    config = MultiSTConfig.published().replace(epochs=2) if what == "another embedding" else quick.replace(n_heads=2)
    model = mt.MultiST(config, random_state=2).fit(first, n_domains=3, **options)
    if what != "no domains":
        model.domains(first, 4)
    model.save(str(tmp_path / "m"))
    back = mt.MultiST.load(str(tmp_path / "m"))
    other = new.copy()
    assert back.config == config and back.random_state == 2 and repr(back) == repr(model)
    model.embed(new)
    back.embed(other)
    np.testing.assert_array_equal(other.obsm["X_multist"], new.obsm["X_multist"])
    if what == "no domains":
        with pytest.raises(RuntimeError, match="knows no domains"):
            back.domains(new)


def test_a_loaded_model_is_saved_to_the_same_bytes(folder, tmp_path):
    again = tmp_path / "again"
    mt.MultiST.load(folder).save(again)
    assert arrays_of(again).read_bytes() == arrays_of(folder).read_bytes()
    heads = [json.loads((each / RECORD).read_text()) for each in (folder, again)]
    assert {**heads[0], "arrays": None} == {**heads[1], "arrays": None}  # no two files of arrays have one name


def no_folder(folder):
    shutil.rmtree(folder)


def foreign(folder):
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")


def truncated_arrays(folder):
    file = arrays_of(folder)
    file.write_bytes(file.read_bytes()[:-100])


def truncated_record(folder):
    (folder / RECORD).write_text((folder / RECORD).read_text()[:-100])


def no_record(folder):
    (folder / RECORD).unlink()


def no_arrays(folder):
    arrays_of(folder).unlink()


def bare_record(folder):
    (folder / RECORD).write_text("[1, 2]")


def newer(folder):
    rewrite(folder, format=checkpoint.FORMAT + 1, multist="99.0")


def older(folder):
    rewrite(folder, format=checkpoint.FORMAT - 1, multist="0.1.0")


def unknown_constant(folder):
    fusion = json.loads((folder / RECORD).read_text())["record"]["fusion"]
    rewrite(folder, fusion=fusion | {"config": fusion["config"] | {"n_dreams": 3}})


def impossible_constant(folder):
    fusion = json.loads((folder / RECORD).read_text())["record"]["fusion"]
    rewrite(folder, fusion=fusion | {"config": fusion["config"] | {"n_heads": 0}})


def other_kind(folder):
    rewrite(folder, kind="training")


REFUSED = [
    (no_folder, FileNotFoundError, "there is no folder"),
    (foreign, ValueError, r"holds 'model.pkl', which multist did not write"),
    (truncated_arrays, ValueError, "is truncated or damaged"),
    (truncated_record, ValueError, "is truncated or no JSON"),
    (no_record, FileNotFoundError, f"holds no {RECORD}"),
    (no_arrays, FileNotFoundError, "lacks arrays-.*was it copied whole"),
    (bare_record, ValueError, "does not say in which format"),
    (newer, ValueError, r"written by multist 99.0 in format 3; multist .* reads format 2: upgrade"),
    (older, ValueError, r"written by multist 0.1.0 in format 1; multist .* reads format 2: fit the model again"),
    (unknown_constant, ValueError, "does not fit: .*n_dreams"),
    (impossible_constant, ValueError, "n_heads of MultiSTConfig must be a whole number from 1 upwards"),
    (other_kind, ValueError, "holds a training, not a model"),
]


@pytest.mark.parametrize(("spoil", "error", "message"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_folders_that_are_refused(spoil, error, message, folder):
    spoil(folder)
    with pytest.raises(error, match=message) as caught:
        mt.MultiST.load(folder)
    assert "model" in str(caught.value)  # the folder's name


def test_an_array_that_is_missing(folder):
    rewrite(folder, drop="axes.mean", quietly=False)
    with pytest.raises(ValueError, match=f"does not hold what {RECORD} says: axes.mean"):
        mt.MultiST.load(folder)


@pytest.mark.parametrize("name", ["fusion.network0.query.weight", "fusion.embedding.center", "axes.share"])
def test_an_array_that_nobody_misses_but_the_model(name, folder):
    rewrite(folder, drop=name)
    with pytest.raises(ValueError, match=f"(?s)lacks a part of the model.*{name.rpartition('.')[2]}"):
        mt.MultiST.load(folder)


def test_a_folder_with_other_things_is_not_written_to(fitted, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(
        FileExistsError, match=r"holds 'thesis.tex', which multist did not write; give a folder of its own"
    ):
        fitted[0].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(FileExistsError, match="is a file; give a folder"):
        fitted[0].save(tmp_path / "thesis.tex")
