"""What tests of interactions share."""

from __future__ import annotations

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def pairs(made_tissue) -> pd.DataFrame:
    """Planted pairs and decoys, which every made tissue has; not to be changed."""
    held = made_tissue[1].uns
    both = pd.concat([held["interactions"], held["decoy_interactions"]])
    return both[["source", "target"]].astype(str).reset_index(drop=True)
