"""Principal components of the expression, by scanpy's recipe or of square roots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist import _keys
from multist._settings import logger
from multist._threads import steady_threads
from multist.access import copy_data, find_sections, get_table, read_matrix, write_table
from multist.pp._expression_axes import LOG, MAX_SCALED, ROOT, ExpressionAxes, stabilized

if TYPE_CHECKING:
    from spatialdata import SpatialData

TARGET_SUM = 1e4
MIN_CELLS = 10
_POWERS = {"log": LOG, "sqrt": ROOT}


def embed_expression(
    data: AnnData | SpatialData,
    *,
    n_comps: int = 50,
    n_top_genes: int = 3000,
    transform: Literal["log", "sqrt"] = "log",
    reference: AnnData | SpatialData | Mapping[str, Any] | None = None,
    layer: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.EXPRESSION,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Principal components of the highly variable genes; ``X``, layers and genes stay as they are.

    Genes in at least 10 spots (on small tables 2 % of the spots), the most variable of them on the counts (``seurat_v3``; Stuart et
    al. 2019), library size to 10,000, logarithm, unit variance clipped at 10, principal components by ARPACK: all scanpy's, on a
    copy that is dense in the highly variable genes only.

    ``transform="sqrt"`` brings library sizes to their median and takes the square root, which gives counting noise the same
    variance in every gene (Bartlett, J. R. Stat. Soc. 1936), so that genes need no scaling; unit variance raises the noise of genes
    that are hardly seen to the level of those that tell tissues apart. Try it, with 100 components, where few molecules were caught.

    Parameters
    ----------
    data
        AnnData or SpatialData, with counts in ``X`` or in a layer: dense, sparse, dask, or on disk.
    n_comps
        Number of components; less where there are not enough spots or genes for it.
    n_top_genes
        Number of highly variable genes; where there are no more genes than that, all are taken.
    transform
        What is taken of the counts: ``"log"``, or ``"sqrt"``.
    reference
        Another section that this function has embedded, or its entry of ``uns``: the counts are projected on its genes and axes,
        so that both lie in one space; ``n_comps``, ``n_top_genes``, ``transform``, ``library_key`` and ``random_state`` are its own
        then.
    layer
        Layer with the counts; ``X`` if left out.
    table_key
        Table of a SpatialData; may be left out where there is one.
    library_key
        Column of ``obs`` that names the sections: genes are then ranked by how variable they are within sections. Left out, the
        regions of a SpatialData's table are the sections.
    key_added
        Key of the components.
    random_state
        Seed of ARPACK's start vector; the global random state is not touched.
    copy
        Return a changed copy, and leave ``data`` as it is.

    Returns
    -------
    None, or with ``copy=True`` the copy. Written to the table:

    ``obsm[key_added]``
        (n_obs, n_comps) float32.
    ``uns["pca"]``, or ``uns[key_added]`` where that is not ``"X_pca"``
        Parameters, ``variance`` and ``variance_ratio`` of the components, ``genes``: the names of the genes they come from, and what
        projects other counts: the ``depth`` that library sizes are brought to, the ``power`` (0 for the logarithm, 0.5 for the
        square root), ``mean`` and ``std`` of each gene, ``loadings`` and ``center``.

    Raises
    ------
    KeyError
        There is no such layer, table or column, or the reference holds no axes.
    ValueError
        The transform is not known, the values are negative, not finite or no counts, there are not at least two spots and two genes to compare, or the
        reference's genes are not there.
    """
    if n_comps < 1 or n_top_genes < 1:
        raise ValueError(f"n_comps and n_top_genes must be at least 1, not {n_comps} and {n_top_genes}")
    if transform not in _POWERS:
        raise ValueError(f"transform must be one of {', '.join(map(repr, _POWERS))}; got {transform!r}")
    data = copy_data(data) if copy else data
    table = get_table(data, table_key)
    counts = _counts(table, layer)
    key = "pca" if key_added == _keys.EXPRESSION else key_added
    with steady_threads("scanpy"):
        if reference is None:
            components, entry = _fitted(counts, table, n_comps, n_top_genes, transform, library_key, random_state)
        else:
            axes = ExpressionAxes.given(reference, key, table_key)
            components = axes.project(counts, table.var_names)
            entry = axes.to_dict() | {"params": {"n_comps": len(axes.center), "reference": True}}
    entry["params"] |= {"layer": layer} if layer is not None else {}
    write_table(table, obsm={key_added: components}, uns={key: entry})
    return data if copy else None


def _fitted(
    counts: Any,
    table: AnnData,
    n_comps: int,
    n_top_genes: int,
    transform: Literal["log", "sqrt"],
    library_key: str | None,
    random_state: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Components of a table on its own axes, and the entry for ``uns``."""
    sections, names = find_sections(table, library_key)
    working = _filtered(counts, table, sections)
    genes = _variable_genes(working, n_top_genes, batch=len(names) > 1)
    total = np.asarray(working.X.sum(axis=1), dtype=np.float64).ravel()
    depth = TARGET_SUM if transform == "log" else float(np.median(total[total > 0]))
    scaled = _scaled(working, genes, depth, _POWERS[transform])
    n_used = min(n_comps, scaled.n_obs - 1, scaled.n_vars - 1)
    if n_used < n_comps:
        logger.info("%d components, as there are %d spots and %d genes", n_used, scaled.n_obs, scaled.n_vars)
    components, loadings, variance, ratio = _components(scaled.X, n_used, random_state)
    params: dict[str, Any] = {"n_comps": n_used, "n_top_genes": n_top_genes, "random_state": random_state}
    params |= {"zero_center": True, "transform": transform}
    params |= {} if library_key is None else {"library_key": library_key}
    axes = ExpressionAxes(
        working.var["name"].to_numpy(dtype=str)[genes], scaled.var["mean"].to_numpy(), scaled.var["std"].to_numpy(),
        loadings, scaled.X.mean(axis=0, dtype=np.float64) @ loadings, np.array(depth), np.array(_POWERS[transform]),
    )  # fmt: skip
    return components, axes.to_dict() | {"params": params, "variance": variance, "variance_ratio": ratio}


def _counts(table: AnnData, layer: str | None) -> Any:
    """The counts in memory, CSR or dense, checked to be counts; possibly the table's own matrix."""
    values, where = read_matrix(table, layer)
    if values is None or 0 in table.shape:
        raise ValueError(f"{where} holds no genes; {_advice(table, layer)}")
    stored: np.ndarray = values.data if sparse.issparse(values) else values
    if stored.dtype.kind not in "biuf":
        raise ValueError(f"{where} holds {stored.dtype}, not numbers")
    if not np.isfinite(stored).all():
        raise ValueError(f"{where} holds NaN or infinite values")
    if stored.size and stored.min() < 0:
        raise ValueError(f"{where} holds negative values, so it is already scaled; {_advice(table, layer)}")
    if stored.dtype.kind == "f" and not np.array_equal(stored, np.rint(stored)):
        raise ValueError(
            f"{where} holds values that are no counts, so it is already normalised; {_advice(table, layer)}"
        )
    return values


def _advice(table: AnnData, layer: str | None) -> str:
    others = [repr(name) for name in table.layers if name != layer]
    embeddings = [repr(name) for name in table.obsm if name != _keys.SPATIAL]
    return (
        f"pass layer= with the counts (other layers: {', '.join(others) or 'none'}), or give a ready embedding by use_rep= to "
        f"multist.tl.multist_domains (obsm: {', '.join(embeddings) or 'none'})"
    )


def _filtered(counts: Any, table: AnnData, sections: np.ndarray) -> AnnData:
    """A working copy with the genes that enough spots have; ``obs["section"]`` and ``var["name"]`` only."""
    n_obs = table.n_obs
    detected = np.asarray((counts > 0).sum(axis=0)).ravel()
    kept = np.flatnonzero(detected >= min(MIN_CELLS, max(1, int(np.ceil(0.02 * n_obs)))))
    if n_obs < 2 or len(kept) < 2:
        raise ValueError(
            f"{n_obs} spots and {len(kept)} genes found in enough of them: principal components need two of each at least"
        )
    obs = pd.DataFrame({"section": pd.Categorical(sections)}, index=pd.RangeIndex(n_obs).astype(str))
    var = pd.DataFrame({"name": table.var_names.to_numpy()[kept]}, index=pd.RangeIndex(len(kept)).astype(str))
    return AnnData(counts[:, kept].astype(np.float32), obs=obs, var=var)


def _variable_genes(working: AnnData, n_top_genes: int, *, batch: bool) -> np.ndarray:
    """Positions of the highly variable genes, in the order of the table."""
    if working.n_vars <= n_top_genes:
        return np.arange(working.n_vars)
    import scanpy as sc

    try:
        ranked = sc.pp.highly_variable_genes(
            working, flavor="seurat_v3", n_top_genes=n_top_genes, batch_key="section" if batch else None, inplace=False
        )
    except ValueError as error:
        raise ValueError(
            f"the variance of the genes could not be fitted ({error}); the sections may be too small: leave out library_key, or "
            f"take all genes by n_top_genes={working.n_vars}"
        ) from error
    return np.flatnonzero(ranked["highly_variable"].to_numpy())


def _scaled(working: AnnData, genes: np.ndarray, depth: float, power: float) -> AnnData:
    """Chosen genes (n, g), dense; ``var`` holds by what they were centred and scaled."""
    import scanpy as sc

    sc.pp.normalize_total(working, target_sum=depth)
    values = working.X[:, genes]
    chosen = AnnData(stabilized(values.toarray() if sparse.issparse(values) else values, power))
    if power == LOG:
        sc.pp.scale(chosen, max_value=MAX_SCALED)
    else:
        chosen.var["mean"], chosen.var["std"] = chosen.X.mean(axis=0, dtype=np.float64), 1.0
        chosen.X -= chosen.var["mean"].to_numpy(dtype=np.float32)
    return chosen


def _components(values: np.ndarray, n_comps: int, random_state: int) -> tuple[np.ndarray, ...]:
    """Components (n_obs, n_comps) float32, loadings (n_vars, n_comps), variances and shares of the variance."""
    import scanpy as sc

    components, axes, ratio, variance = sc.pp.pca(
        values, n_comps=n_comps, svd_solver="arpack", random_state=random_state, return_info=True
    )
    return np.ascontiguousarray(components, dtype=np.float32), np.ascontiguousarray(axes.T), variance, ratio
