"""What goes into a folder comes out of it: every shape and kind of number, and nothing else than that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from multist.model.checkpoint import load_folder, save_folder

ARRAYS = {
    "single": np.array(3.5, dtype=np.float32),
    "empty": np.zeros((0, 4)),
    "turned": np.arange(12).reshape(3, 4).T,
    "sliced": np.arange(12.0)[::-2],
    "yes": np.array([True, False]),
    "bytes": np.arange(5, dtype=np.uint8),
    "not finite": np.array([np.nan, np.inf, -0.0]),
}


def test_every_array_comes_back(tmp_path):
    record = {"losses": [0.1, 1e-300, 1 / 3], "nothing": None, "name": "µm", "pairs": [[0, {"a": True}]]}
    save_folder(tmp_path / "a" / "b", record, ARRAYS)
    found, arrays = load_folder(str(tmp_path / "a" / "b"))
    assert found == record and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].shape == array.shape and arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_folder("~/models/cortex", {"a": 1}, {})
    assert (tmp_path / "models" / "cortex").is_dir()
    assert load_folder("~/models/cortex")[0]["a"] == 1


def test_no_arrays_will_do(tmp_path):
    save_folder(tmp_path, {"step": 0}, {})
    assert load_folder(tmp_path) == ({"step": 0}, {})


def test_what_json_cannot_hold_leaves_what_was_there(tmp_path):
    save_folder(tmp_path, {"a": 1}, ARRAYS)
    with pytest.raises(TypeError):
        save_folder(tmp_path, {"a": object()}, {})
    assert load_folder(tmp_path)[0] == {"a": 1}
    save_folder(tmp_path, {"a": 2}, {})
    assert load_folder(tmp_path) == ({"a": 2}, {}) and len(list(tmp_path.iterdir())) == 2


def test_a_half_written_file_is_no_obstacle(tmp_path):
    save_folder(tmp_path, {"a": 1}, ARRAYS)
    left = [tmp_path / f".multist-{'0' * 16}.json", tmp_path / f"arrays-{'0' * 16}.safetensors"]
    for file in left:
        file.write_text("{")
    assert load_folder(tmp_path)[0] == {"a": 1}
    save_folder(tmp_path, {"a": 2}, ARRAYS)
    assert all(file.exists() for file in left)  # another process may be writing these just now
    for file in left:
        os.utime(file, (0, 0))
    save_folder(tmp_path, {"a": 3}, ARRAYS)
    assert load_folder(tmp_path)[0] == {"a": 3} and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("broken", ["arrays", "multist"])
def test_where_the_disk_is_full_the_model_is_the_old_one_and_later_it_is_saved(tmp_path, monkeypatch, broken):
    def fails(self, target):
        if Path(target).name.startswith(broken):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return move(self, target)

    save_folder(tmp_path, {"a": 1}, ARRAYS)
    before = {file.name for file in tmp_path.iterdir()}
    move = Path.replace
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Path, "replace", fails)
        save_folder(tmp_path, {"a": 2}, {})
    assert load_folder(tmp_path)[0] == {"a": 1} and {file.name for file in tmp_path.iterdir()} == before
    save_folder(tmp_path, {"a": 3}, {})
    assert load_folder(tmp_path) == ({"a": 3}, {}) and len(list(tmp_path.iterdir())) == 2


def test_a_model_that_is_replaced_while_it_is_read_is_read_anew(tmp_path, monkeypatch):
    def replaced_meanwhile(self):
        if self.suffix == ".safetensors" and not replaced:
            replaced.append(self)
            save_folder(tmp_path, {"a": 2}, {})
        return read(self)

    save_folder(tmp_path, {"a": 1}, ARRAYS)
    replaced, read = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", replaced_meanwhile)
    assert load_folder(tmp_path) == ({"a": 2}, {}) and replaced
