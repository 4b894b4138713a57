from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist._missing import is_named

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def agreement(truth: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """How well found domains agree with known ones.

    Parameters
    ----------
    truth
        (n_obs,) known domains. Observations without one (NaN, None or such as text, ``"nan"``) do not count.
    labels
        (n_obs,) found domains, in the same order. Their names do not matter.

    Returns
    -------
    ``ari`` (adjusted Rand index), ``nmi`` and ``ami`` (normalised and adjusted mutual information, arithmetic mean of
    the entropies), ``homogeneity`` and ``completeness``. All are 1 for a perfect agreement; ``ari`` and ``ami`` are 0
    on average for random labels.

    Raises
    ------
    ValueError
        If the lengths differ, no observation has a truth, or a counted observation has no label.

    Notes
    -----
    ARI: Hubert and Arabie, Journal of Classification 2 (1985). AMI: Vinh, Epps and Bailey, JMLR 11 (2010).
    Homogeneity and completeness: Rosenberg and Hirschberg, EMNLP-CoNLL (2007).

    Examples
    --------
    >>> mt.metrics.agreement(["a", "a", "b", None], [1, 1, 2, 2])["ari"]
    1.0
    >>> mt.metrics.agreement(adata.obs["domain"], adata.obs["multist_domain"])
    """
    from sklearn import metrics

    # numpy would make text of a missing label in a list of names
    known_series, label_series = (pd.Series(np.asarray(each, dtype=object)) for each in (truth, labels))
    if len(known_series) != len(label_series):
        raise ValueError(
            f"{len(label_series)} labels for {len(known_series)} observations with a truth; pass one label each"
        )
    both_named = is_named(known_series)
    if not both_named.any():
        raise ValueError("no observation has a known domain: every entry of truth is missing")
    if label_series[both_named].isna().any():
        raise ValueError(
            f"{int(label_series[both_named].isna().sum())} of {int(both_named.sum())} labels are missing (NaN)"
        )
    t, p = known_series[both_named].astype(str).to_numpy(), label_series[both_named].astype(str).to_numpy()
    return {
        "ari": float(metrics.adjusted_rand_score(t, p)),
        "nmi": float(metrics.normalized_mutual_info_score(t, p)),
        "ami": float(metrics.adjusted_mutual_info_score(t, p)),
        "homogeneity": float(metrics.homogeneity_score(t, p)),
        "completeness": float(metrics.completeness_score(t, p)),
    }
