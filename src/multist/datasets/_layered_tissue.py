from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from multist._keys import INTERACTIONS
from multist.datasets._tissue_counts import MIN_GENES, GeneModel, draw_counts, gene_model, interaction_tables
from multist.datasets._tissue_geometry import (
    DOMAINS,
    SPOT_AREA,
    SPOT_DIAMETER,
    TissuePlan,
    lattice,
    plan_tissue,
)
from multist.datasets._tissue_image import image_affine, render
from multist.datasets._tissue_nuclei import Nuclei, draw_nuclei, mean_density
from multist.datasets._tissue_objects import MadeSection, make_table, to_anndata, to_spatialdata

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData
    from spatialdata import SpatialData

_UMI_SPOT, _UMI_CELL = 3000.0, 1200.0
_CELL_OVER_NUCLEUS = 1.6
_GEOMETRY, _GENES, _COUNTS, _IMAGE, _ORDER, _BATCH, _NUCLEI = range(7)


def layered_tissue(
    *,
    n_spots: int = 2500,
    n_genes: int = 2000,
    format: Literal["spatialdata", "anndata"] = "spatialdata",
    n_sections: int = 1,
    stain_shift: float = 0.0,
    batch_shift: float = 0.0,
    missing_domain: str | None = None,
    image_size: int = 2000,
    cells: bool = False,
    with_image: bool = True,
    random_state: int = 0,
) -> SpatialData | AnnData:
    """A made section of layered tissue with a lesion, its H&E photograph, its counts, and the whole truth about it.

    Seven domains, from the convex surface inwards:

    =================  ===================================================  ================  =================
    domain             histology                                            expression        relative depth
    =================  ===================================================  ================  =================
    ``rim``            thin, pale, few flat nuclei                          own               0 - .10
    ``cortex_a``       purple, evenly strewn with nuclei                    own               .10 - .32
    ``cortex_b``       **as** ``cortex_a``                                  own               .32 - .49
    ``band``           thin, crowded with small dark nuclei                 own               .49 - .60
    ``stroma_loose``   wavy pale collagen with white clefts, few nuclei     own               .60 - 1
    ``stroma_dense``   packed dark collagen, more spindle-shaped nuclei     **as loose**      .60 - 1
    ``lesion``         round; crowded with large, dark, uneven nuclei       own               lies across cortices
    =================  ===================================================  ================  =================

    ``cortex_a`` and ``cortex_b`` differ *only in expression*, ``stroma_loose`` and ``stroma_dense`` *only in the
    image*, so neither modality suffices. Some genes rise or fall smoothly along the depth in all domains alike, others
    follow states that come and go from spot to spot and have nothing to do with space, so that neighbours must be
    looked at. The photograph is unevenly stained and lit, has a fold that comes in from the left, and glass around the
    tissue.

    Parameters
    ----------
    n_spots
        Spots, exactly, in each section. They lie on the Visium lattice (55 um wide, 100 um apart), so that more
        spots make a larger tissue.
    n_genes
        Genes; the first ones bear names of ligands and receptors.
    format
        ``"spatialdata"``, or ``"anndata"`` in its Visium form. Both hold the same rows, counts and names.
    n_sections
        Sections of ``n_spots`` each, every one of a slightly different shape.
    stain_shift
        How far the stain lies from the usual one: 1 is another laboratory, with more and bluer haematoxylin and less
        eosin, -1 one on the other side. Several sections go from 0 to ``stain_shift`` in equal steps. Nothing else
        changes with it.
    batch_shift
        Standard deviation of a shift of every gene's log expression in each section after the first.
    missing_domain
        A domain that the last section lacks; its neighbours take its place.
    image_size
        Width and height of the photograph in pixels. Counts and coordinates in micrometres do not depend on it.
    cells
        Cells instead of spots: they are the drawn nuclei, lie irregularly and as densely as each domain has them,
        and a section measures about 1 mm rather than 5.
    with_image
        False leaves the photograph out.
    random_state
        Seed. The same seed gives the same bits; the global random state is untouched.

    Returns
    -------
    SpatialData
        ``images["he"]`` (multiscale, c = r, g, b, uint8) with an affine to micrometres that scales, turns and shifts;
        circles ``shapes["spots"]`` (or ``"cells"``) in micrometres; ``tables["table"]``, linked by ``obs["region"]``
        and ``obs["spot_id"]`` (``"cell_id"``), its rows in another order than the circles. The coordinate system is
        ``"global"``. With several sections the elements are ``"he_section1"``, ``"spots_section1"``, ..., in a
        coordinate system named after the section.
    AnnData
        ``obsm["spatial"]`` in full-resolution pixels, ``uns["spatial"]["section1"]`` with ``hires`` (the photograph, a
        quarter of full resolution), ``lowres`` and scale factors.

    Notes
    -----
    Either table holds raw counts (CSR, float32) in ``X`` and

    - ``obs["domain"]``, the true domain; ``obs["depth"]``, the true place along the layers, 0 at the surface to 1;
    - ``obs["section"]``, and on the lattice ``obs["in_tissue"]``, ``["array_row"]``, ``["array_col"]``;
    - ``uns["interactions"]``, ligand-receptor pairs (``source``, ``target``) that are active across one border only:
      the ligand is up fourfold in the two rows of ``ligand_domain`` next to ``receptor_domain``, and the receptor in
      the two rows facing them;
    - ``uns["decoy_interactions"]``, pairs that are not: ``kind`` is ``"diffuse"`` (both expressed everywhere),
      ``"apart"`` (each in a domain that does not touch the other's) or ``"one_sided"`` (the ligand up at a border, the
      receptor everywhere).

    Counts are negative-binomial (gamma-Poisson) with log-normal library sizes. Colour follows the law of Beer and
    Lambert from the optical densities of haematoxylin and eosin (Ruifrok and Johnston, Anal Quant Cytol Histol 2001).

    Raises
    ------
    ValueError
        If ``format`` or ``missing_domain`` is not known, a size is too small, or ``batch_shift`` is set for one
        section.

    Examples
    --------
    >>> from multist.datasets import layered_tissue
    >>> sdata = layered_tissue(n_spots=400, n_genes=200, image_size=400)
    >>> sdata.tables["table"].shape
    (400, 200)
    """
    _check(n_spots, n_genes, format, n_sections, batch_shift, missing_domain, image_size)
    model = gene_model(n_genes, (random_state, _GENES))
    stain = np.linspace(0, stain_shift, n_sections) if n_sections > 1 else np.array([stain_shift])
    sections = []
    for i in range(n_sections):
        missing = missing_domain if i == n_sections - 1 else None
        plan, nuclei, section = _place(n_spots, missing, image_size, (random_state, i), cells=cells)
        umi = _UMI_CELL if cells else _UMI_SPOT
        section = replace(section, counts=_express(section, model, umi, batch_shift, (random_state, i)))
        if with_image:
            nuclei = nuclei or draw_nuclei(plan, _rng(_NUCLEI, (random_state, i)))
            light = _rng(_IMAGE, (random_state, i))
            image = render(plan, nuclei, section.affine, image_size, stain_shift=float(stain[i]), rng=light)
            section = replace(section, image=image)
        sections.append(section)
    planted, decoys = interaction_tables(set(np.concatenate([s.domain for s in sections])))
    kind = "cell" if cells else "spot"
    table = make_table(sections, model.names, {INTERACTIONS: planted, f"decoy_{INTERACTIONS}": decoys}, kind)
    return to_anndata(sections, table) if format == "anndata" else to_spatialdata(sections, table, kind)


def _rng(purpose: int, seed: tuple[int, int]) -> np.random.Generator:
    """A stream of its own for every purpose and section, so that leaving one out does not change another."""
    return np.random.default_rng((seed[0], purpose, seed[1]))


def _place(
    n_spots: int, missing: str | None, image_size: int, seed: tuple[int, int], *, cells: bool
) -> tuple[TissuePlan, Nuclei | None, MadeSection]:
    """Lay out a section: its plan, its nuclei where they are the cells, and its spots without counts and image."""
    plan = plan_tissue(n_spots * SPOT_AREA, missing=missing, rng=_rng(_GEOMETRY, seed))
    nuclei, array = None, None
    if cells:
        plan = replace(plan, side=plan.side / float(np.sqrt(mean_density(plan) * SPOT_AREA)))
        nuclei = draw_nuclei(plan, _rng(_NUCLEI, seed))
        while len(nuclei) < n_spots:  # their number is random; a little more room lets all of them in
            plan = replace(plan, side=plan.side * 1.005)
            nuclei = draw_nuclei(plan, _rng(_NUCLEI, seed))
        inner = np.sort(np.argsort(plan.level(nuclei.x, nuclei.y), kind="stable")[:n_spots])
        chosen = nuclei.take(inner)
        xy = np.column_stack([chosen.x, chosen.y]).astype(np.float64)
        diameter = 2 * _CELL_OVER_NUCLEUS * np.sqrt(chosen.a * chosen.b).astype(np.float64)
    else:
        plan, xy, array = lattice(plan, n_spots)
        diameter = np.full(n_spots, SPOT_DIAMETER)
    section = MadeSection(
        name=f"section{seed[1] + 1}",
        xy=xy,
        diameter=diameter,
        affine=image_affine(plan, image_size, seed[1]),
        array=array,
        domain=np.array(DOMAINS, dtype=object)[plan.domain(xy[:, 0], xy[:, 1])],
        depth=plan.depth(xy[:, 0], xy[:, 1]),
        order=_rng(_ORDER, seed).permutation(n_spots),
    )
    return plan, nuclei, section


def _express(
    section: MadeSection, model: GeneModel, umi: float, batch_shift: float, seed: tuple[int, int]
) -> sp.csr_matrix:
    """Counts of a section; the first one is the batch from which the others differ."""
    batch = batch_shift * (seed[1] > 0) * _rng(_BATCH, seed).standard_normal(len(model.names))
    return draw_counts(model, section.xy, section.domain, section.depth, umi=umi, batch=batch, rng=_rng(_COUNTS, seed))


def _check(
    n_spots: int,
    n_genes: int,
    format: str,
    n_sections: int,
    batch_shift: float,
    missing_domain: str | None,
    image_size: int,
) -> None:
    if format not in ("spatialdata", "anndata"):
        raise ValueError(f"format {format!r} is not known; choose 'spatialdata' or 'anndata'")
    least = {"n_spots": (n_spots, 100), "n_genes": (n_genes, MIN_GENES), "n_sections": (n_sections, 1)}
    for name, (value, lowest) in (least | {"image_size": (image_size, 64)}).items():
        if value < lowest:
            raise ValueError(f"{name} is {value}; the tissue needs at least {lowest}")
    if missing_domain is not None and missing_domain not in DOMAINS:
        raise ValueError(f"missing_domain {missing_domain!r} is not a domain; choose one of {', '.join(DOMAINS)}")
    if batch_shift and n_sections == 1:
        raise ValueError("batch_shift sets later sections apart from the first; ask for n_sections > 1")
