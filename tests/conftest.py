"""What several rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("MULTIST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sections with truth; point ``MULTIST_DATA`` to another one."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real sections at {REAL_DATA}; set MULTIST_DATA to their folder")
    return REAL_DATA
