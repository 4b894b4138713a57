"""What several rooms' tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

REAL_DATA = Path(os.environ.get("MULTIST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def messages_are_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The package's messages do not pass through the root logger, where ``caplog`` listens."""
    logger = logging.getLogger("multist")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sections with truth; point ``MULTIST_DATA`` to another one."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real sections at {REAL_DATA}; set MULTIST_DATA to their folder")
    return REAL_DATA


@pytest.fixture(scope="session")
def made_tissue() -> tuple[SpatialData, AnnData]:
    """A small section with a known truth in both forms.

    Shared by all tests, so take a copy of it from the fixtures below.
    """
    from multist.datasets import layered_tissue

    size = {"n_spots": 400, "n_genes": 300, "image_size": 800}
    return layered_tissue(**size), layered_tissue(**size, format="anndata")


@pytest.fixture
def tissue(made_tissue: tuple[SpatialData, AnnData]) -> SpatialData:
    """Seven domains on 400 spots with 300 genes and an 800 px image, nothing computed yet."""
    from multist.access import copy_data

    return copy_data(made_tissue[0])


@pytest.fixture
def tissue_table(made_tissue: tuple[SpatialData, AnnData]) -> AnnData:
    """The same as an AnnData in Visium's form."""
    return made_tissue[1].copy()
