"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multist as mt


@pytest.mark.slow
def test_unnamed_spots_are_suggested_each_once(tissue_table):
    adata = tissue_table
    mt.tl.multist_domains(adata, 4, use_image=False)
    truth = adata.obs["domain"].astype(str)
    strokes = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    for name in truth.unique()[:4]:
        strokes[truth.index[truth == name][:3]] = name
    adata.obs["annotation"] = strokes
    mt.tl.cluster_domains(adata, labels_key="annotation")
    found = mt.tl.suggest_labels(adata, 6)
    assert len(set(found)) == 6
    assert adata.obs.loc[found, "annotation"].isna().all()
    for wrong in (0, 2.5, "3", True):
        with pytest.raises(ValueError, match=f"n must be a whole number of at least 1; got {wrong!r}"):
            mt.tl.suggest_labels(adata, wrong)
