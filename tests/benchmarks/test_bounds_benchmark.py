"""The benchmark of what bounds the domains, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_truth_shown_is_no_worse_than_what_was_found(tmp_path: Path, small_section: Path, run_benchmark):
    done = run_benchmark("bounds", tmp_path, small_section, "--seeds", "1", "--output", "out.json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert run["shown"] >= run["found"] > 0.3
    assert "layered_tissue/small" in done.stdout
