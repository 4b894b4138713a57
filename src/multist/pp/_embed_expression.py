"""Principal components of the expression, after a transform that gives counting noise one variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist import _keys
from multist._described import described
from multist._settings import logger
from multist._threads import steady_threads
from multist._words import counted
from multist.access import Expression, Fields, Kind, check_whole, find_expression, find_sections, get_table, listed, run
from multist.pp._expression_axes import POWERS, ExpressionAxes
from multist.pp._variable_genes import moments, most_variable

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

MIN_CELLS = 10
_AS_THEY_ARE: tuple[Kind, ...] = ("log-normalised", "scaled")
_ANY: tuple[Kind, ...] = ("counts", *_AS_THEY_ARE, "unknown")
_COUNTS_ADVICE = (
    ", as the sections on whose axes they are projected hold counts; where there are none, start from log-normalised "
    "expression in those sections as well"
)


@described
def embed_expression(
    data: AnnData | SpatialData,
    *,
    n_comps: int = 50,
    n_top_genes: int = 3000,
    transform: Literal["sqrt", "log", "none"] = "sqrt",
    reference: AnnData | SpatialData | Mapping[str, Any] | None = None,
    layer: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.EXPRESSION,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Principal components of the highly variable genes; ``X``, layers and genes stay as they are.

    Genes in at least 10 spots (on small tables 2 % of the spots), the most variable of them on the counts
    (``seurat_v3``; Stuart et al. 2019), library sizes brought to their median, square root, principal components. The
    square root gives counting noise the same variance in every gene (Bartlett, J. R. Stat. Soc. 1936), so genes are not
    scaled: unit variance raises the noise of genes that are hardly seen to the level of those that tell tissues apart.

    Counts are looked for in ``X``, in a layer of that name and in ``raw``. A table without counts is embedded as it is,
    with a warning: log-normalised and scaled values are neither normalised nor transformed again. Decimals that are
    neither are refused.

    The matrix is read in blocks of spots, and is never dense as a whole. It may be sparse, dense, dask or on disk.

    Parameters
    ----------
    data
        AnnData or SpatialData, with counts, log-normalised or scaled expression.
    n_comps
        Number of components; less where there are not enough spots or genes for it.
    n_top_genes
        Number of highly variable genes; where there are no more genes than that, all are taken.
    transform
        What is taken of the counts at the median library size: ``"sqrt"``, the square root, or ``"log"``, the logarithm
        of one more. ``"none"`` takes whatever ``X`` or the layer holds as it is.
    reference
        Another section that this function has embedded, or its entry of ``uns``: the expression is projected on its
        genes and axes, so that both lie in one space; ``n_comps``, ``n_top_genes``, ``transform``, ``library_key`` and
        ``random_state`` are its own then.
    layer
        Layer to read; left out, the counts are looked for.
    library_key
        Column of ``obs`` that names the sections: genes are then ranked by how variable they are within sections. Left
        out, the regions of a SpatialData's table are the sections.
    key_added
        Key of the components.
    random_state
        Seed of the sample of spots that axes of large tables start from, and of ARPACK's start vector; the global
        random state is not touched.

    Returns
    -------
    None, or with ``copy=True`` the copy. Written to the table:

    ``obsm[key_added]``
        (n_obs, n_comps) float32.
    ``uns["pca"]``, or ``uns[key_added]`` where that is not ``"X_pca"``
        Parameters, among them ``source`` and ``kind``, what was read and what it was; ``variance`` and
        ``variance_ratio`` of the components; and what projects another section: the ``genes``, their ``mean`` and
        ``loadings``, the genes of the ``library`` size with their ``share`` of it, the ``depth`` that it is brought to,
        and the ``power`` (0.5 for the square root, 0 for the logarithm, 1 for none).

    Raises
    ------
    KeyError
        There is no such layer, table or column, or the reference holds no axes.
    ValueError
        The transform is not known, the values are not finite or decimals of an unknown kind, there are not at least two
        spots and two genes to compare, or the reference's genes are not there.

    Examples
    --------
    >>> mt.pp.embed_expression(first)
    >>> mt.pp.embed_expression(second, reference=first)
    """
    check_whole(n_comps=n_comps)
    check_whole(2, n_top_genes=n_top_genes)
    if transform not in POWERS:
        raise ValueError(f"transform must be one of {', '.join(map(repr, POWERS))}; got {transform!r}")
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    with run(data, "embed_expression", random_state=random_state, copy=copy, spatial=False, **keys) as work:
        axes = None
        if reference is not None:
            entry = _keys.expression_entry(key_added)
            axes = reference if isinstance(reference, Mapping) else get_table(reference, table_key).uns.get(entry, {})
        fields = reduce_expression(
            work.part.table,
            n_comps=n_comps,
            n_top_genes=n_top_genes,
            transform=transform,
            axes=axes,
            layer=layer,
            library_key=library_key,
            key_added=key_added,
            random_state=random_state,
        )
        work.part.write(**fields)
    return work.result


def reduce_expression(
    table: AnnData,
    *,
    n_comps: int = 50,
    n_top_genes: int = 3000,
    transform: Literal["sqrt", "log", "none"] = "sqrt",
    axes: Mapping[str, Any] | None = None,
    layer: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.EXPRESSION,
    random_state: int = 0,
) -> Fields:
    """The stage of :func:`embed_expression`: the fields that it writes; ``axes`` are those of another section."""
    key = _keys.expression_entry(key_added)
    wanted: tuple[tuple[Kind, ...], ...]
    with steady_threads("scipy.linalg"):
        if axes is None:
            wanted = (_ANY,) if transform == "none" else (("counts",), *((k,) for k in _AS_THEY_ARE))
            expression = _read(table, layer, wanted, _otherwise(table))
            section = find_sections(table, library_key)[0]
            components, entry = _fitted(expression, section, n_comps, n_top_genes, transform, random_state)
            entry["params"] |= {} if library_key is None else {"library_key": library_key}
        else:
            given = ExpressionAxes.given(axes, key)
            wanted = (("counts",),) if given.takes_counts else (_AS_THEY_ARE, _ANY)
            expression = _read(table, layer, wanted, _COUNTS_ADVICE if given.takes_counts else "")
            kind = axes.get("params", {}).get("kind")  # models keep none
            if not given.takes_counts and expression.kind == "counts" and kind != "counts":
                _warn_of_counts(expression.where)
            components = given.project(expression)
            entry = given.to_dict() | {"params": {"n_comps": components.shape[1], "reference": True}}
    _warn_of_empty(expression)
    entry["params"] |= {"source": expression.where, "kind": expression.kind, "n_obs": table.n_obs}
    entry["params"] |= {} if layer is None else {"layer": layer}
    return {"obsm": {key_added: components}, "uns": {key: entry}}


def _otherwise(table: AnnData) -> str:
    """What else can be done with a table that has axes of its own."""
    embeddings = listed(name for name in table.obsm if name != _keys.SPATIAL)
    return (
        '; pp.embed_expression(transform="none") takes finite values as they are; or give a ready embedding by '
        f"use_rep= to multist.tl.multist_domains (obsm: {embeddings})"
    )


def _read(table: AnnData, layer: str | None, wanted: tuple[tuple[Kind, ...], ...], advice: str = "") -> Expression:
    """The expression of the kind wanted most; a warning where it is not counts."""
    found = find_expression(table, layer, wanted, advice=advice)
    if found.kind != "counts":
        logger.warning(
            "%s holds %s, and no counts are there: it is embedded as it is, without normalising it again",
            found.where,
            found.described(),
        )
    return found


def _warn_of_counts(where: str) -> None:
    logger.warning(
        "%s holds counts, and is projected on axes of values that were taken as they are: where these were "
        "log-normalised, as they mostly are, the components are wrong; normalise this section in the same way, or fit "
        "on counts",
        where,
    )


def _warn_of_empty(expression: Expression) -> None:
    n_empty = int(np.count_nonzero(expression.total == 0)) if expression.kind == "counts" else 0
    if n_empty:
        logger.warning(
            "%d of %d spots have no molecule in %s, so that only what surrounds them tells their domain: leave them "
            "out first",
            n_empty,
            len(expression.total),
            expression.where,
        )


def _fitted(
    expression: Expression,
    section: np.ndarray,
    n_comps: int,
    n_top_genes: int,
    transform: str,
    random_state: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Components of a table on its own axes, and the entry for ``uns``."""
    transform = "none" if expression.kind != "counts" else transform
    n_obs = len(section)
    found = moments(expression, section)
    enough = min(MIN_CELLS, max(1, int(np.ceil(0.02 * n_obs))))
    varied = found.detected >= enough if transform != "none" else found.variance().any(axis=0)
    candidates = np.flatnonzero(varied)
    if n_obs < 2 or len(candidates) < 2:
        raise ValueError(
            f"{counted(n_obs, 'spot')} and {counted(len(candidates), 'gene')} found in enough of them: "
            "principal components need two of each at least"
        )
    genes = most_variable(expression, section, found, candidates, n_top_genes)
    n_used = min(n_comps, n_obs - 1, len(genes) - 1)
    if n_used < n_comps:
        logger.info("%s, as there are %d spots and %d genes", counted(n_used, "component"), n_obs, len(genes))
    axes, total = ExpressionAxes.fit(expression, genes, found.sums.sum(axis=0), POWERS[transform], n_used, random_state)
    params = {
        "n_comps": n_used,
        "n_top_genes": n_top_genes,
        "random_state": random_state,
        "zero_center": True,
        "transform": transform,
    }
    components = axes.project(expression, genes)
    variance = components.var(axis=0, ddof=1, dtype=np.float64)
    shares = variance / max(total, np.finfo(float).tiny)
    return components, axes.to_dict() | {"params": params, "variance": variance, "variance_ratio": shares}
