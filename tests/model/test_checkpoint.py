"""What goes into a folder comes out of it: every shape and kind of number, and nothing else than that."""

from __future__ import annotations

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
    (tmp_path / "multist.partial").write_text("{")
    (tmp_path / f"arrays-{'0' * 16}.partial").write_bytes(b"0")
    assert load_folder(tmp_path)[0] == {"a": 1}
    save_folder(tmp_path, {"a": 2}, ARRAYS)
    assert len(list(tmp_path.iterdir())) == 2
