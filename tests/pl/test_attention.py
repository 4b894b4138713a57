"""The figure says how much a chosen spot listened to each spot around it, and on which side of the border that lies."""

from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_hex
from scipy.spatial.distance import cdist
from spatialdata import SpatialData

import multist as mt
from multist.access import get_table, resolve

COLUMNS, STEP = 10, 10.0
SPOT = "s44"
"""In the fifth row and column of the lattice, at the right rim of the left domain."""
KEYS = {
    "s34": 1.6,
    "s54": 1.4,
    "s43": 1.2,
    "s45": 0.5,
    "s24": 1.3,
    "s64": 1.2,
    "s42": 1.1,
    "s46": 0.5,
    "s33": 1.0,
    "s53": 1.0,
    "s35": 0.6,
    "s55": 0.6,
}
"""What the spot gives those one and two steps away, of which four lie across the border; mean 1."""


def equal_weights(adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """On all spots within two steps."""
    keys = sp.csr_matrix((adjacency + adjacency @ adjacency) > 0).astype(np.float32).tolil()
    keys.setdiag(0)
    keys = keys.tocsr()
    keys.eliminate_zeros()
    return sp.csr_matrix(sp.diags(1 / np.asarray(keys.sum(axis=1)).ravel()) @ keys, dtype=np.float32)


def give(adata: ad.AnnData, weights: dict[str, float]) -> None:
    """Set a spot's attention relative to equal weights; a weight of zero stays stored."""
    matrix = adata.obsp["multist_attention"].copy()
    row = adata.obs_names.get_loc(SPOT)
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    assert set(adata.obs_names[matrix.indices[part]]) == set(weights)
    matrix.data[part] = [weights[name] / len(weights) for name in adata.obs_names[matrix.indices[part]]]
    adata.obsp["multist_attention"] = matrix


def made() -> ad.AnnData:
    """Two domains side by side on a square lattice over an image, of which one spot has learnt whom to listen to."""
    row, column = np.divmod(np.arange(8 * COLUMNS), COLUMNS)
    xy = STEP * np.column_stack([column, row]) + 10
    adata = ad.AnnData(np.ones((len(xy), 2), dtype=np.float32), obsm={"spatial": xy})
    adata.obs_names = [f"s{r}{c}" for r, c in zip(row, column, strict=True)]
    adata.obs["multist_domain"] = pd.Categorical(np.where(column < 5, "left", "right"))
    adata.obs["multist_confidence"], adata.obs["multist_image_weight"] = 0.9, 0.25
    adata.obs["sample"] = pd.Categorical(np.where(row < 6, "upper", "lower"))
    adata.uns["multist_domain_colors"] = ["#112233", "#445566"]
    adata.obsp["spatial_connectivities"] = sp.csr_matrix((np.abs(cdist(xy, xy) - STEP) < 0.1).astype(np.float32))
    adata.obsp["multist_attention"] = equal_weights(adata.obsp["spatial_connectivities"])
    give(adata, KEYS)
    image = np.full((100, 120, 3), 200, dtype=np.uint8)
    scales = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 6.0}
    adata.uns["spatial"] = {"section": {"images": {"hires": image}, "scalefactors": scales}}
    return adata


@pytest.fixture
def section() -> ad.AnnData:
    return made()


@pytest.fixture(scope="module")
def close_up() -> plt.Axes:
    """What is drawn of the spot, for those who only look."""
    (ax,) = mt.pl.attention(made(), SPOT, show=False)
    return ax


@pytest.fixture(scope="module")
def at() -> dict[str, tuple[float, float]]:
    """Places of the spots."""
    adata = made()
    return places(adata, adata.obs_names)


def circles(ax: plt.Axes) -> dict[tuple[float, float], EllipseCollection]:
    """Centre to (face, edge) of the filled circles."""
    found = {}
    for collection in ax.collections:
        if isinstance(collection, EllipseCollection):
            faces, edges = collection.get_facecolors(), collection.get_edgecolors()
            for place, face, edge in zip(collection.get_offsets(), faces, edges, strict=True):
                if face[3] > 0:
                    found[tuple(np.round(place, 3).tolist())] = (face, to_hex(edge))
    return found


def rings(ax: plt.Axes) -> np.ndarray:
    """Centres of the black rings."""
    black = [
        c for c in ax.collections if isinstance(c, EllipseCollection) and to_hex(c.get_edgecolors()[0]) == "#000000"
    ]
    return np.concatenate([ring.get_offsets() for ring in black])


def numbers(ax: plt.Axes) -> dict[tuple[float, float], str]:
    return {tuple(np.round(text.get_position(), 3).tolist()): text.get_text() for text in ax.texts}


def places(adata: ad.AnnData, names) -> dict[str, tuple[float, float]]:
    xy = resolve(adata).xy
    return {name: tuple(np.round(xy[adata.obs_names.get_loc(name)], 3).tolist()) for name in names}


def test_those_within_two_steps_are_filled_and_nothing_else_is_and_a_ring_marks_the_spot(close_up, at):
    assert set(circles(close_up)) == {at[name] for name in KEYS}
    np.testing.assert_allclose(rings(close_up), [at[SPOT]], atol=1e-3)


def test_circles_have_their_true_size_and_the_ring_lies_around(close_up):
    *spots, ring = [c for c in close_up.collections if isinstance(c, EllipseCollection)]
    assert {width for each in spots for width in each.get_widths()} == {6.0}
    assert 6 < ring.get_widths()[0] < STEP


def test_numbers_and_colours_are_relative_to_equal_weights(close_up, at):
    assert numbers(close_up) == {at[name]: f"{weight:.2f}" for name, weight in KEYS.items()}
    cmap = mpl.colormaps["BrBG"]
    for name, weight in KEYS.items():
        # the largest factor is 2, so the scale goes from a half to two and 1 is in the middle
        np.testing.assert_allclose(circles(close_up)[at[name]][0], cmap(0.5 + np.log2(weight) / 2), atol=0.03)


@pytest.mark.slow
def test_a_few_per_cent_look_like_a_few_per_cent(section: ad.AnnData):
    give(section, dict.fromkeys(KEYS, 1.0) | {"s34": 1.02, "s54": 0.98})
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    faces = np.array([face for face, _ in circles(ax).values()])[:, :3]
    assert np.abs(faces - mpl.colormaps["BrBG"](0.5)[:3]).max() < 0.06


def test_edges_show_the_domains_and_a_line_divides_them(close_up, at):
    edges = {name: circles(close_up)[at[name]][1] for name in KEYS}
    assert {edges.pop(name) for name in ("s45", "s46", "s35", "s55")} == {"#445566"}
    assert set(edges.values()) == {"#112233"}
    (lines,) = [c for c in close_up.collections if isinstance(c, LineCollection)]
    assert set(np.round(np.array(lines.get_segments())[..., 0].ravel(), 6)) == {55.0}
    entries = [text.get_text() for ax in close_up.figure.axes if (box := ax.get_legend()) for text in box.get_texts()]
    assert entries == ["left", "right", "chosen spot"]


@pytest.mark.slow
def test_spots_without_a_domain_are_in_the_legend_however_many_domains_there_are(section: ad.AnnData):
    domains = [f"d{i}" for i in range(section.n_obs)]
    domains[section.obs_names.get_loc("s45")] = None
    section.obs["multist_domain"] = pd.Categorical(domains)
    del section.uns["multist_domain_colors"]
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    entries = [text.get_text() for ax in ax.figure.axes if (box := ax.get_legend()) for text in box.get_texts()]
    assert entries[-2:] == ["not labelled", "chosen spot"]


@pytest.mark.slow
def test_no_lines_come_apart_between_scattered_cells(section: ad.AnnData):
    section.obsm["spatial"] += np.random.default_rng(0).uniform(-4, 4, (section.n_obs, 2))
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    assert not [c for c in ax.collections if isinstance(c, LineCollection)]
    assert set(circles(ax)) == set(places(section, KEYS).values())


def test_the_panels_say_which_side_of_the_border_counted(close_up):
    assert close_up.get_title(loc="left") == f"{SPOT}\ndomain left\nconfidence 0.90\nimage weight 0.25"
    # (1.6 + 1.4 + 1.2 + 1.3 + 1.2 + 1.1 + 1 + 1) / 8, and (0.5 + 0.5 + 0.6 + 0.6) / 4 across
    assert close_up.get_xlabel() == "own domain ×1.23, others ×0.55"


@pytest.mark.slow
def test_the_close_up_is_square_and_centred_and_as_wide_as_asked(section: ad.AnnData, close_up, at):
    x, y = at[SPOT]
    (ax,) = mt.pl.attention(section, SPOT, radius=4, show=False)
    assert ax.get_xlim() == pytest.approx((x - 24, x + 24))
    assert ax.get_ylim() == pytest.approx((y + 24, y - 24))
    left, right = close_up.get_xlim()
    assert left < x - 2 * STEP - 3 and right > x + 2 * STEP + 3
    assert right - left < 90
    assert close_up.images[0].get_array().max() == 200


@pytest.mark.slow
def test_each_chosen_spot_has_a_panel_also_without_the_pixels(section: ad.AnnData):
    del section.uns["spatial"]
    one, two = mt.pl.attention(section, [SPOT, "s11"], show=False)
    assert not one.images
    assert set(circles(one)) == set(places(section, KEYS).values())
    assert two.get_title(loc="left").startswith("s11\n")
    assert two.get_xlabel() == "own domain ×1.00"


@pytest.mark.slow
def test_where_no_image_took_part_all_count_alike_and_the_log_says_so(section: ad.AnnData, caplog):
    del section.obsp["multist_attention"]
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    assert "no image took part in 'multist'" in caplog.text
    assert "×1.00" in ax.get_xlabel()


@pytest.mark.slow
def test_a_graph_of_which_one_triangle_is_kept_has_the_same_neighbours(section: ad.AnnData):
    del section.obsp["multist_attention"]
    (whole,) = mt.pl.attention(section, SPOT, show=False)
    section.obsp["spatial_connectivities"] = sp.triu(section.obsp["spatial_connectivities"], format="csr")
    (half,) = mt.pl.attention(section, SPOT, show=False)
    assert set(circles(half)) == set(circles(whole))


@pytest.mark.slow
def test_of_a_spot_whose_surroundings_were_cut_off_it_is_said_how_much_is_missing(section: ad.AnnData, caplog):
    part = section[[not name.endswith(("5", "6")) for name in section.obs_names]]
    (ax,) = mt.pl.attention(part, SPOT, show=False)
    assert len(circles(ax)) == 8 and "others" not in ax.get_xlabel()
    # (0.5 + 0.5 + 0.6 + 0.6) / 12 lay across the border
    assert "'s44' listened to spots that were cut off the table, with 18 % of its weight" in caplog.text
    caplog.clear()
    mt.pl.attention(section, SPOT, show=False)
    assert caplog.text == ""


@pytest.mark.slow
def test_only_the_section_of_the_spot_is_shown(section: ad.AnnData):
    lower = section.copy()
    lower.obs_names = "lower-" + lower.obs_names
    both = ad.concat([section, lower], pairwise=True)
    both.obs["sample"] = pd.Categorical(["upper"] * section.n_obs + ["lower"] * section.n_obs)
    both.obs["multist_domain"] = pd.Categorical(["a"] * section.n_obs + ["b"] * section.n_obs)
    dark = {"images": {"hires": np.full((100, 120, 3), 60, dtype=np.uint8)}}
    both.uns["spatial"] = {
        "upper": section.uns["spatial"]["section"],
        "lower": section.uns["spatial"]["section"] | dark,
    }
    upper, below = mt.pl.attention(both, [SPOT, f"lower-{SPOT}"], library_key="sample", show=False)
    assert (upper.images[0].get_array().max(), below.images[0].get_array().max()) == (200, 60)
    maps = mt.pl.domains(both, library_key="sample", show=False)
    for ax, section_name, tissue in zip((upper, below), ("upper", "lower"), maps, strict=True):
        assert section_name in ax.get_title(loc="left").splitlines()[0]
        wanted = tissue.collections[0].get_facecolors()[0]
        drawn = [c for c in ax.collections if isinstance(c, EllipseCollection) and len(c.get_offsets()) > 1]
        assert {to_hex(edge) for c in drawn for edge in c.get_edgecolors()} == {to_hex(wanted)}


@pytest.mark.slow
def test_numbers_of_cells_that_overlap_do_not(section: ad.AnnData):
    section.obsm["spatial"][section.obs_names.get_loc("s34")] = section.obsm["spatial"][
        section.obs_names.get_loc("s33")
    ] + (0.5, 0.2)
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert 8 <= len(boxes) < 12
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    assert f"{max(KEYS.values()):.2f}" in numbers(ax).values()


@pytest.mark.slow
def test_a_spot_with_a_single_neighbour_is_drawn(section: ad.AnnData):
    row, only = (section.obs_names.get_loc(name) for name in (SPOT, "s34"))
    alone = section.obsp["multist_attention"].tolil()
    alone[row] = 0
    alone[row, only] = 1
    section.obsp["multist_attention"] = alone.tocsr()
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    assert set(numbers(ax).values()) == {"1.00"}
    assert ax.get_xlabel() == "own domain ×1.00"
    section.obs["multist_domain"] = section.obs["multist_domain"].where(section.obs_names != "s34")
    assert mt.pl.attention(section, SPOT, show=False)[0].get_xlabel() == "no spot around it with a domain"


@pytest.mark.slow
def test_a_spot_of_no_weight_at_all_ends_the_scale_and_it_says_so(section: ad.AnnData):
    give(section, dict.fromkeys(KEYS, 0.0) | {"s34": 12.0})
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    faces = {name: circles(ax)[place][0] for name, place in places(section, KEYS).items()}
    np.testing.assert_allclose(faces["s54"], mpl.colormaps["BrBG"](0.0))
    np.testing.assert_allclose(faces["s34"], mpl.colormaps["BrBG"](1.0))
    assert sorted(numbers(ax).values()) == ["0.00"] * 11 + ["12.00"]


@pytest.mark.slow
def test_spatialdata_is_drawn_over_its_image_and_nothing_is_written(tissue: SpatialData):
    mt.pp.spatial_graph(tissue)
    table = get_table(tissue, None)
    table.obs["second_domain"] = table.obs["domain"].astype(str).astype("category")
    table.obsp["second_attention"] = equal_weights(table.obsp["spatial_connectivities"])
    before = table.copy()
    name = table.obs_names[200]
    (ax,) = mt.pl.attention(tissue, name, "second", show=False)
    expected = np.round(resolve(tissue).xy[table.obsp["second_attention"][200].indices], 3)
    assert set(circles(ax)) == set(map(tuple, expected.tolist()))
    assert ax.images
    assert (set(table.uns), set(table.obsp)) == (set(before.uns), set(before.obsp))
    pd.testing.assert_frame_equal(table.obs, before.obs)


@pytest.mark.slow
def test_the_figure_is_returned_and_ncols_sets_its_shape(section: ad.AnnData):
    wide = mt.pl.attention(section, [SPOT, "s11"], ncols=2, return_fig=True)
    tall = mt.pl.attention(section, [SPOT, "s11"], ncols=1, return_fig=True)
    assert isinstance(wide, plt.Figure)
    assert wide.get_figwidth() / wide.get_figheight() > 2 * tall.get_figwidth() / tall.get_figheight()
    assert max(wide.get_figwidth(), tall.get_figwidth()) <= 7.2 + 1e-6


@pytest.mark.parametrize(
    ("spots", "options", "error", "message"),
    [
        (["s44", "x1"], {}, KeyError, "'x1' not found in obs_names; found 80 names such as 's00', 's01'"),
        ([], {}, ValueError, "up to 12"),
        ([f"s{i}{j}" for i in range(2) for j in range(7)], {}, ValueError, "14 spots; give one, or a list of up to 12"),
        (SPOT, {"key": "second"}, KeyError, "'second_attention' not found in obsp; found: 'spatial_connectivities'"),
        (SPOT, {"cluster_key": "leiden"}, KeyError, "cluster_key 'leiden' not found"),
        (SPOT, {"cluster_key": "multist_confidence"}, ValueError, "numbers that are no names"),
        (SPOT, {"radius": -1}, ValueError, "radius"),
        (SPOT, {"ncols": 1.5}, ValueError, "ncols must be a whole number"),
        (SPOT, {"vmax": "p99"}, ValueError, "vmax is a positive factor, or None, got 'p99'"),
        (SPOT, {"vmin": 0}, ValueError, "vmin is a positive factor"),
    ],
)
def test_impossible_calls_are_refused(section: ad.AnnData, spots, options, error, message):
    with pytest.raises(error, match=message):
        mt.pl.attention(section, spots, show=False, **options)
    assert not plt.get_fignums()


def test_a_spot_without_weights_is_named(section: ad.AnnData):
    matrix = section.obsp["multist_attention"].tolil()
    matrix[section.obs_names.get_loc(SPOT)] = 0
    section.obsp["multist_attention"] = matrix.tocsr()
    with pytest.raises(ValueError, match=r"obsp\['multist_attention'\] has no weights for 's44': it has no neighbours"):
        mt.pl.attention(section, SPOT, show=False)
