"""How sharp each border between domains is in expression, and how sharp in histology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist._settings import logger
from multist._threads import steady_threads
from multist.access import check_whole, domain_params, not_found, plain, read_features, run, versions
from multist.tl._expression import make_expression
from multist.tl._glass import warn_of_glass
from multist.tl._graph import ensure_graph
from multist.tl.borders._cluster_test import adjusted, numbered
from multist.tl.borders._contacts import Contact, domain_codes, find_contacts, section_spacings, within_reach
from multist.tl.borders._sharpness import Border, Tissue, halved, held_out_auc, near_border, stretch, thinned

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy import sparse
    from spatialdata import SpatialData

    from multist.access import SpatialRecord

_MODALITIES = ("expression", "histology")
_COMPONENTS = 50
_MAX_DEVIATIONS = 5.0  # standard deviations; folds and debris are further out
_MIN_SPOTS = 10  # spots on either side
_SIGNIFICANCE = 0.05
_MIN_DRAWS = 19  # with fewer no p-value can reach the level
_NO_ROOM = 0.99  # where one in twenty lines are as sharp, hardly a border could be sharper


@described
def border_sharpness(
    data: AnnData | SpatialData,
    *,
    cluster_key: str = _keys.domain_key(),
    expression_key: str | None = None,
    histology_key: str | None = None,
    n_steps: int = 2,
    n_null: int = 100,
    microns_per_pixel: float | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Measure how sharp each border between domains is in expression, and how sharp in histology.

    *How sharp?* Spots within ``n_steps`` of the border are told apart by one modality's features alone: a linear
    discriminant is fitted to all of the border but one stretch of it, and asked which spots of that stretch lie on
    which side. The result is the share of pairs, one spot from each side of the same stretch, that it gets right (area
    under the ROC curve): 0.5 if the modality sees nothing there, 1 if every spot is told apart.

    *Sharper than what?* Domains were found from these features, so that any border is seen by them to some degree, as
    would be a line that is drawn through the middle of a domain. ``n_null`` such lines are drawn: either domain is
    divided in two along directions in which this modality varies within it, and the same is measured on stretches as
    long as the border. The p-value says how many of them are as sharp as the border.

    Parameters
    ----------
    data
        Table with domains and features; not changed but for the fields below.
    expression_key
        ``obsm`` key of the expression; None takes ``X_pca`` or ``X_feat``, or computes it from counts.
    histology_key
        ``obsm`` key of the histology; None takes ``X_histology`` if it is there, else expression stands alone.
    n_steps
        How near the border spots have to be, in steps on the spatial graph. On Visium one is 100 um.
    n_null
        Lines drawn within the two domains of each border, half of them in either.
    library_key
        Column of ``obs`` that names the sections. The border of two domains is one in all of them, but only spots of
        the same section are compared.

    Returns
    -------
    None, or the changed copy. Written to the table, for the default ``key_added``:

    ``uns["multist"]["border_sharpness"]``
        DataFrame with a row per two domains that touch, in the order of their names:

        - ``domain_1``, ``domain_2``; ``n_edges``, joins of neighbours across; ``n_spots``, spots within ``n_steps``.
        - ``expression`` and ``histology``, sharpness from 0.5 (below by chance) to 1.
        - ``expression_n_null``, ``histology_n_null``, of how many lines within the two domains the sharpness is known.
        - ``expression_null``, ``histology_null``, what one in twenty of these lines reach: a border above it has a
          p-value up to 0.05.
        - ``expression_pvalue``, ``histology_pvalue``, one-sided.
        - ``expression_fdr``, ``histology_fdr``, the false discovery rate of Benjamini and Hochberg over the borders.
        - ``drawn_by``: ``"both"``, ``"expression"``, ``"histology"`` or ``"neither"``, by p-values up to 0.05;
          ``"unknown"`` where none is as low and a modality that is there cannot say: it has no p-value, or its
          null is 0.99 or more, so that hardly a border could be sharper.

        NaN where a modality is missing, a side has less than ten spots near the border, or there are less than 19
        lines.
    ``uns["multist"]["border_sharpness_params"]``
        What was asked for, with which versions; ``spacing``, how far apart the spots of each section are, in the
        ``unit`` beside it (``"um"``, or ``"coordinates"`` where the scale of a section is unknown): a step is as long.

    Where there is no embedding of the expression, or no spatial graph, :func:`multist.pp.embed_expression` and
    :func:`multist.pp.spatial_graph` make it.

    Raises
    ------
    KeyError
        A key does not exist; the message lists those that do.
    ValueError
        No domains touch, features are not finite, or a number is out of range.

    Notes
    -----
    A high value says that the two sides differ *there*, in a way that is the same along the border. It does not say
    that the change is abrupt: a steep gradient is sharp, too. ``drawn_by`` goes by the p-value of each border, of which
    one in twenty passes by chance in each modality; the false discovery rates correct for the number of borders. No
    p-value is below ``1 / (n_null + 1)``, so that with many borders the rates need a larger ``n_null``.

    References
    ----------
    Discriminant: Fisher, Ann Eugen 1936. Blocks in space: Roberts et al., Ecography 2017. p-values from draws: Phipson
    and Smyth, Stat Appl Genet Mol Biol 2010. False discovery rates: Benjamini and Hochberg, J R Stat Soc B 1995.

    Examples
    --------
    >>> mt.tl.border_sharpness(adata)
    >>> adata.uns["multist"]["border_sharpness"][["domain_1", "domain_2", "expression", "histology", "drawn_by"]]
    """
    check_whole(n_steps=n_steps)
    check_whole(2 * _MIN_DRAWS, n_null=n_null)
    names: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    with run(
        data, "border_sharpness", random_state=random_state, key_added=key_added, copy=copy, image=False, **names
    ) as work:
        part, record = work.part, work.part.record.with_scale(microns_per_pixel)
        places, unit = record.in_microns()
        warn_of_glass(record.table)
        codes, domains = domain_codes(record.table, cluster_key)
        embedded = any(key in part.table.obsm for key in _keys.EXPRESSION_FEATURES)
        if expression_key is None and not embedded and part.table.n_vars:  # as after a model recognised the domains
            make_expression(part, library_key=library_key, random_state=random_state)
        keys = _feature_keys(record.table, expression_key, histology_key)
        features = {modality: _components(record, key) for modality, key in keys.items()}
        tissue = _tissue(record, ensure_graph(part))
        contacts = find_contacts(tissue.adjacency, codes)
        if not contacts:
            raise ValueError(f"no two domains of obs[{cluster_key!r}] touch, so there is no border to look at")
        result = _measure(features, tissue, codes, contacts, n_steps, n_null, random_state)
        params = plain(
            {
                **domain_params(record.table, cluster_key),
                "n_steps": n_steps,
                "n_null": n_null,
                **names,
                "spacing": section_spacings(places, record.section),
                "unit": unit,
                "microns_per_pixel": microns_per_pixel,
                "random_state": random_state,
                "expression_key": keys["expression"],
                "histology_key": keys.get("histology"),
                "versions": versions(),
            }
        )
        table = _table(result, contacts, domains)
        part.write(uns={key_added: {_keys.BORDER_SHARPNESS: table, f"{_keys.BORDER_SHARPNESS}_params": params}})
    return work.result


def _feature_keys(table: AnnData, expression_key: str | None, histology_key: str | None) -> dict[str, str]:
    """Modality to ``obsm`` key, expression first."""
    for argument, key in (("expression_key", expression_key), ("histology_key", histology_key)):
        if key is not None and key not in table.obsm:
            raise not_found(key, "obsm", table.obsm, argument=argument)
    expression_key = expression_key or next((key for key in _keys.EXPRESSION_FEATURES if key in table.obsm), None)
    if expression_key is None:
        raise not_found(_keys.EXPRESSION, "obsm", table.obsm, argument="expression_key")
    if histology_key is None and _keys.HISTOLOGY in table.obsm:
        histology_key = _keys.HISTOLOGY
    if histology_key is None:
        logger.info("no histology embedding found; borders are measured in expression alone")
        return {"expression": expression_key}
    return {"expression": expression_key, "histology": histology_key}


def _components(record: SpatialRecord, key: str) -> np.ndarray:
    """(n_obs, up to 50) principal components; features that are none yet are brought to one scale first."""
    features = np.array(read_features(record.table, key), dtype=np.float64)
    for number in range(len(record.section_names)):
        # only spots of the same section are compared; a shift between sections would drown what differs within them
        rows = record.section == number
        features[rows] -= features[rows].mean(axis=0)
    if key not in _keys.EXPRESSION_FEATURES:
        spread = features.std(axis=0)
        varied = spread > 1e-9 * max(float(spread.max(initial=0)), 1e-30)
        features = np.clip(features[:, varied] / spread[varied], -_MAX_DEVIATIONS, _MAX_DEVIATIONS)
        features = features - features.mean(axis=0)
    if features.shape[1] == 0:
        return np.zeros((len(features), 1))
    variance, axes = np.linalg.eigh(features.T @ features)
    return features @ axes[:, np.argsort(variance)[::-1][:_COMPONENTS]]


def _tissue(record: SpatialRecord, graph: sparse.csr_matrix) -> Tissue:
    apart = 10.0 * max(float(np.ptp(record.xy, axis=0).max()), 1.0)
    return Tissue(np.column_stack([record.xy, record.section * apart]), record.section, graph)


@steady_threads(limit=1)  # many small products: on a busy machine threads wait for one another most of the time
def _measure(
    features: dict[str, np.ndarray],
    tissue: Tissue,
    codes: np.ndarray,
    contacts: list[Contact],
    n_steps: int,
    n_null: int,
    random_state: int,
) -> dict[str, list[float]]:
    """Columns of numbers, one entry per contact."""
    rng = np.random.default_rng(random_state)
    reach = within_reach(tissue.adjacency, n_steps)
    touching = sorted({code for contact in contacts for code in contact[:2]})
    rows = {code: np.flatnonzero(codes == code) for code in touching}
    borders = [near_border(reach, rows[contact.first], rows[contact.second]) for contact in contacts]
    columns: dict[str, list[float]] = {"n_spots": [len(border.rows) for border in borders]}
    borders = [thinned(border, rng) for border in borders]
    for modality, values in features.items():
        lines = {code: _lines(values, tissue, reach, rows[code], n_null // 2, rng) for code in touching}
        drawn = [lines[contact.first] + lines[contact.second] for contact in contacts]
        measured = [_judge(values, tissue, border, pseudo, rng) for border, pseudo in zip(borders, drawn, strict=True)]
        for name, column in zip(("", "_n_null", "_null", "_pvalue"), zip(*measured, strict=True), strict=True):
            columns[modality + name] = list(column)
    return columns


def _lines(
    values: np.ndarray, tissue: Tissue, reach: Any, rows: np.ndarray, n_draws: int, rng: np.random.Generator
) -> list[Border]:
    """Borders within one domain."""
    if len(rows) < 2 * _MIN_SPOTS:
        return []
    halves = halved(values[rows], tissue.adjacency[rows][:, rows], n_draws, rng)
    return [near_border(reach, rows[~half], rows[half]) for half in halves]


def _judge(
    values: np.ndarray, tissue: Tissue, border: Border, lines: list[Border], rng: np.random.Generator
) -> tuple[float, int, float, float]:
    """Sharpness of a border, how many lines of its length there are, what one in twenty reach, and the p-value."""
    if not _long_enough(border):
        return np.nan, 0, np.nan, np.nan
    sharpness = held_out_auc(values, border, tissue)
    as_long = [stretch(line, tissue, len(border.rows), rng) for line in lines]
    null = np.array([held_out_auc(values, line, tissue) for line in as_long if _long_enough(line)])
    null = null[np.isfinite(null)]
    if len(null) < _MIN_DRAWS or not np.isfinite(sharpness):
        return sharpness, len(null), np.nan, np.nan
    # above it, a p-value is at the level or below
    bar = float(np.sort(null)[::-1][int(_SIGNIFICANCE * (1 + len(null))) - 1])
    return sharpness, len(null), bar, float((1 + (null >= sharpness).sum()) / (1 + len(null)))


def _long_enough(border: Border) -> bool:
    return bool(min(border.side.sum(), (~border.side).sum()) >= _MIN_SPOTS)


def _table(columns: dict[str, list[float]], contacts: list[Contact], names: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "domain_1": [names[contact.first] for contact in contacts],
            "domain_2": [names[contact.second] for contact in contacts],
            "n_edges": [contact.n_edges for contact in contacts],
            "n_spots": columns["n_spots"],
        }
    )
    for modality in _MODALITIES:
        for part, missing in (("", np.nan), ("_n_null", 0), ("_null", np.nan), ("_pvalue", np.nan)):
            table[modality + part] = columns.get(modality + part, [missing] * len(contacts))
        table[f"{modality}_fdr"] = adjusted(table[f"{modality}_pvalue"].to_numpy())
    passed, unknown = {}, np.zeros(len(table), dtype=bool)
    for modality in _MODALITIES:
        passed[modality] = table[f"{modality}_pvalue"] <= _SIGNIFICANCE
        untested = table[f"{modality}_pvalue"].isna() & (modality in columns)
        unknown |= untested | (~passed[modality] & (table[f"{modality}_null"] >= _NO_ROOM))
    choices = [passed["expression"] & passed["histology"], *passed.values(), unknown]
    table["drawn_by"] = np.select(choices, ["both", *passed, "unknown"], "neither").astype(object)
    n_unknown = int((table["drawn_by"] == "unknown").sum())
    if n_unknown:
        logger.info(
            "which modality drew the border is unknown of %d of %d: short borders, domains too small for lines, or "
            "lines within them as sharp as can be",
            n_unknown,
            len(table),
        )
    return numbered(table)
