"""Which ligand-receptor pairs act between domains that touch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist._settings import logger
from multist._words import counted
from multist.access import check_whole, domain_params, plain, run, versions
from multist.tl._glass import warn_of_glass
from multist.tl._graph import ensure_graph
from multist.tl.borders._border_test import Evidence, Spots, border_test
from multist.tl.borders._cluster_test import (
    adjusted,
    check_threshold,
    numbered,
    pair_table,
    squidpys_test,
    too_few,
    with_true_labels,
)
from multist.tl.borders._contacts import (
    Contact,
    border_lengths,
    domain_codes,
    find_contacts,
    section_spacings,
    within_reach,
)
from multist.tl.borders._molecules import find_molecules, molecule_expression
from multist.tl.borders._pairs import read_pairs

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def interactions(
    data: AnnData | SpatialData,
    pairs: pd.DataFrame | str | Path,
    *,
    cluster_key: str = _keys.domain_key(),
    layer: str | None = None,
    gene_symbols: str | None = None,
    reach: int = 2,
    patch_size: int = 4,
    min_edges: int = 10,
    threshold: float = 0.1,
    n_perms: int = 1000,
    microns_per_pixel: float | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Test which ligand-receptor pairs act between domains that touch.

    Two questions are asked of every pair, in both directions across every border:

    - *Do these domains express it?* :func:`squidpy.gr.ligrec` compares the domains' mean expression with that of
      shuffled labels. Markers of the two domains pass this test, whether or not they are anywhere near each other. Of
      more than 50,000 spots as many are compared, drawn from each domain.
    - *Is it raised where they touch?* The score is the mean of ligand times receptor over pairs of spots that face each
      other across the border, within ``reach``. It is compared with tissue in which square patches of the ligand's
      domain have changed places, been turned and mirrored, and then the same for the receptor's domain; **both** have
      to be raised (the larger p-value counts; an intersection-union test, Berger 1982). Each domain keeps its values,
      so no mean of a domain can make a pair significant, and neighbours within a patch stay neighbours, so
      patchy expression does not pass for a signal as it does when single spots are shuffled.

    Pairs within a domain have no border and are not tested. Nothing is downloaded, and ``X`` and the layers are only
    read.

    Parameters
    ----------
    data
        Table with domains and coordinates, and with counts or log-normalised expression; not changed but for the fields
        below.
    pairs
        A DataFrame with columns ``source`` and ``target``, or ``ligand`` and ``receptor``; ``"liana"`` for the
        consensus resource of an installed liana, or ``"liana:mouseconsensus"`` for another; or a folder with
        CellPhoneDB's ``interaction_input.csv``, ``complex_input.csv``, ``gene_input.csv`` and ``protein_input.csv``.
        Genes joined by ``_`` are a complex, of which, spot by spot, the least expressed subunit counts; all have to be
        there. Upper and lower case make no difference where a name is not there as it is written.
    layer
        Layer with counts or log-normalised expression; left out, the first of ``X``, a layer of counts and ``raw`` that
        holds such. Counts are normalised to 10,000 per spot and logged in a copy of the genes that are needed.
    reach
        Steps on the spatial graph within which spots act on each other. On Visium one is 100 um.
    patch_size
        Spots along the side of a patch. It should be no less than the distance over which expression is alike for
        reasons of its own; larger patches are more careful, and need longer borders. A domain with fewer spots in every
        section than a patch has is not tested.
    min_edges
        Borders with fewer joins of neighbours across them are listed and not tested.
    n_perms
        Number of permutations in either test.
    library_key
        Column of ``obs`` that names the sections. Borders do not run between sections; those of the same two domains
        in several sections are one.

    Returns
    -------
    None, or the changed copy. Written to ``uns["multist"]["interactions"]`` of the table (for the default
    ``key_added``):

    ``"pairs"``
        DataFrame with a row per pair, border and direction, the most significant first: ``source``, ``target``,
        ``ligand_domain``, ``receptor_domain``; ``mean``, ``cluster_pvalue`` and ``cluster_fdr`` of squidpy's test;
        ``score``, ``enrichment`` (log2 of the score over that of the shuffled tissue, of the side where it is less),
        ``ligand_pvalue``, ``receptor_pvalue``, ``border_pvalue`` (the larger) and ``border_fdr``. NaN where not tested,
        of which ``why`` gives the reason; it is empty where the pair was tested.
    ``"borders"``
        DataFrame with a row per two domains that touch: ``domain_1``, ``domain_2``, ``n_edges``, ``length``, ``unit``
        (``"um"``, or ``"coordinates"`` where the scale of a section is unknown) and ``tested``.
    ``"params"``, ``"versions"``
        What was asked for, with what; ``spacing``, how far apart the spots of each section are, in the ``unit`` that is
        named beside it: a ``reach`` is so many of them, and so is the side of a patch.

    False discovery rates are those of Benjamini and Hochberg over all pairs, borders and directions tested.
    :func:`multist.tl.ligrec_result` gives squidpy's form, which :func:`squidpy.pl.ligrec` draws; files cannot hold it.

    Raises
    ------
    FileNotFoundError, ImportError
        The folder or liana is not there.
    KeyError
        A key does not exist; the message lists those that do.
    ValueError
        No pair has its genes in the table, several genes have a name that is asked for, no domains touch, the values
        are neither counts nor log-normalised, or a number is out of range.

    References
    ----------
    Permutation of cluster labels: Efremova et al., Nat Protoc 2020, by squidpy. Intersection-union tests: Berger,
    Technometrics 1982. p-values of permutations: Phipson and Smyth, Stat Appl Genet Mol Biol 2010; their tail: Winkler
    et al., NeuroImage 2016.

    Examples
    --------
    >>> pairs = pd.DataFrame({"source": ["CXCL12", "TGFB1"], "target": ["CXCR4", "TGFBR1_TGFBR2"]})
    >>> mt.tl.interactions(adata, pairs)
    >>> found = adata.uns["multist"]["interactions"]["pairs"]
    >>> found[found["border_fdr"] <= 0.05]
    """
    check_whole(reach=reach, patch_size=patch_size, min_edges=min_edges, n_perms=n_perms)
    check_threshold(threshold)
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    chance: dict[str, Any] = {"threshold": threshold, "n_perms": n_perms, "random_state": random_state}
    with run(
        data, "interactions", random_state=random_state, key_added=key_added, copy=copy, image=False, **keys
    ) as work:
        part, record = work.part, work.part.record.with_scale(microns_per_pixel)
        warn_of_glass(record.table)
        places, unit = record.in_microns()
        domain, names = domain_codes(record.table, cluster_key)
        molecules = find_molecules(read_pairs(pairs), record.table, gene_symbols)
        expression = molecule_expression(record.table, layer, molecules.genes)
        adjacency = ensure_graph(part)
        spots = Spots(places, record.section, domain, section_spacings(places, record.section))
        contacts, tested = _contacts(adjacency, domain, min_edges, cluster_key)
        directed = [(contact[way], contact[1 - way]) for contact in tested for way in (0, 1)]
        mean, pvalue = squidpys_test(expression, molecules, domain, directed, **chance)
        borders = border_test(
            expression,
            molecules.ligand,
            molecules.receptor,
            spots,
            within_reach(adjacency, reach),
            tested,
            patch_size=patch_size,
            n_perms=n_perms,
            random_state=random_state,
        )
        found = pair_table(molecules.pairs, directed, names, mean, with_true_labels(pvalue, n_perms))
        smaller = _smaller_than_a_patch(domain, record.section, patch_size)
        params = {
            **chance,
            **domain_params(record.table, cluster_key),
            "layer": layer,
            "gene_symbols": gene_symbols,
            "reach": reach,
            "patch_size": patch_size,
            "min_edges": min_edges,
            "microns_per_pixel": microns_per_pixel,
            **keys,
            "pairs": "DataFrame" if isinstance(pairs, pd.DataFrame) else str(pairs),
            "spacing": spots.spacing,
            "unit": unit,
        }
        result = {
            "pairs": _with_borders(found, directed, borders, smaller, too_few(threshold)),
            "borders": _border_table(contacts, tested, names, border_lengths(places, record.section, domain), unit),
            "params": plain(params),
            "versions": versions(),
        }
        part.write(uns={key_added: {_keys.INTERACTIONS: result}})
    return work.result


def _contacts(
    adjacency: Any, domain: np.ndarray, min_edges: int, cluster_key: str
) -> tuple[list[Contact], list[Contact]]:
    """All domains that touch, and those whose border is long enough for a test."""
    contacts = find_contacts(adjacency, domain)
    tested = [contact for contact in contacts if contact.n_edges >= min_edges]
    if not tested:
        most = max((contact.n_edges for contact in contacts), default=0)
        raise ValueError(
            f"no two domains of obs[{cluster_key!r}] touch along at least min_edges={min_edges} joins of neighbours; "
            f"the most that two have is {most}"
        )
    borders = counted(len(contacts), "border between domains", "borders between domains")
    logger.info("%s, %d long enough for a test", borders, len(tested))
    return contacts, tested


def _smaller_than_a_patch(domain: np.ndarray, section: np.ndarray, patch_size: int) -> np.ndarray:
    """(n_domains,) whether no section has as many spots of a domain as a patch has: there nothing can be exchanged."""
    spots = np.zeros((domain.max() + 1, section.max() + 1), dtype=np.int64)
    labelled = domain >= 0
    np.add.at(spots, (domain[labelled], section[labelled]), 1)
    return spots.max(axis=1) < patch_size**2


def _with_borders(
    table: pd.DataFrame, directed: list[tuple[int, int]], borders: Evidence, smaller: np.ndarray, unexpressed: str
) -> pd.DataFrame:
    """The pairs with what was found at the borders, the most significant first."""
    untested = table["cluster_pvalue"].isna().to_numpy()
    skipped = untested | np.resize(smaller[np.array(directed)].any(axis=1), len(table))
    tested = lambda values: np.where(skipped, np.nan, values.ravel())
    table = table.assign(
        score=borders.score.ravel(),
        enrichment=tested(borders.enrichment),
        ligand_pvalue=tested(borders.ligand),
        receptor_pvalue=tested(borders.receptor),
        border_pvalue=tested(np.maximum(borders.ligand, borders.receptor)),
        border_fdr=lambda found: adjusted(found["border_pvalue"].to_numpy()),
        why=np.select([untested, skipped], [unexpressed, "a domain has fewer spots than a patch"], "").astype(object),
    )
    return numbered(table.sort_values(["border_pvalue", "enrichment"], ascending=[True, False], kind="stable"))


def _border_table(
    contacts: list[Contact], tested: list[Contact], names: list[str], lengths: np.ndarray, unit: str
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "domain_1": [names[contact.first] for contact in contacts],
            "domain_2": [names[contact.second] for contact in contacts],
            "n_edges": [contact.n_edges for contact in contacts],
            "length": [lengths[contact[:2]] for contact in contacts],
            "unit": unit,
            "tested": [contact in tested for contact in contacts],
        }
    )
    return numbered(table)
