"""The mean over a spot and its neighbours."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def neighbourhood_mean(adjacency: sp.csr_matrix, *, with_self: bool) -> sp.csr_matrix:
    """(n, n) float32 operator that averages over the neighbours; a spot without any keeps its own value."""
    near = sp.csr_matrix(adjacency != 0, dtype=np.float32)
    itself = np.ones(near.shape[0], dtype=np.float32) if with_self else (np.diff(near.indptr) == 0).astype(np.float32)
    near = (near + sp.diags(itself, dtype=np.float32)).tocsr()
    near.eliminate_zeros()
    degree = np.diff(near.indptr)
    near.data = np.repeat(1 / degree, degree).astype(np.float32)
    return near
