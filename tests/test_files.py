"""A file is the old one or the new one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from multist._files import UNFINISHED, whole_file


def test_nothing_changes_before_the_body_is_through(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with whole_file(path) as file:
        file.write_text("new")
        assert path.read_text() == "old" and file.suffix == ".csv" and UNFINISHED.fullmatch(file.name)
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("written", ["", "half"])
def test_a_body_that_fails_leaves_what_was_there(tmp_path, error, written):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as file:
        file.write_text(written)
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_file_hands_on_its_permissions_and_a_new_one_has_those_of_all_new_ones(tmp_path):
    shared, new, plain = tmp_path / "shared", tmp_path / "new", tmp_path / "plain"
    shared.write_text("")
    shared.chmod(0o664)
    plain.write_text("")
    for path in (shared, new):
        with whole_file(path) as file:
            file.write_text("a")
    mode = {path: stat.S_IMODE(path.stat().st_mode) for path in (shared, new, plain)}
    assert mode[new] == mode[plain] and (os.name == "nt" or mode[shared] == 0o664)


def test_folders_on_the_way_are_made(tmp_path):
    with whole_file(tmp_path / "new" / "deep" / "a.txt") as file:
        file.write_text("a")
    assert (tmp_path / "new" / "deep" / "a.txt").read_text() == "a"


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    link, target = tmp_path / "link.txt", tmp_path / "target.txt"
    target.write_text("old")
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="a device has another name here")
def test_a_device_is_written_to_and_stays_one():
    with whole_file("/dev/null") as file:
        file.write_text("a")
    assert Path("/dev/null").is_char_device()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="give the name of a file"), whole_file(tmp_path) as file:
        file.write_text("a")
