"""The figure says how much each neighbour of a chosen spot counted, and on which side of the border it lies."""

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
KEYS = {SPOT: 1.0, "s34": 1.5, "s54": 1.2, "s43": 0.8, "s45": 0.5}
"""What the spot gives itself, the spots above and below, to the left, and to the right across the border; mean 1."""
IMAGE_KEYS = {SPOT: 0.9, "s34": 1.1, "s54": 1.0, "s43": 1.0, "s45": 1.0}


@pytest.fixture(autouse=True)
def _no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def with_itself(adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """Equal weights on each spot and its neighbours."""
    keys = sp.csr_matrix((adjacency + sp.identity(adjacency.shape[0])) > 0).astype(np.float32)
    return sp.csr_matrix(sp.diags(1 / np.asarray(keys.sum(axis=1)).ravel()) @ keys, dtype=np.float32)


def give(adata: ad.AnnData, name: str, weights: dict[str, float]) -> None:
    """Set a spot's attention relative to equal weights."""
    matrix = adata.obsp[name].tolil()
    row = adata.obs_names.get_loc(SPOT)
    for spot, weight in weights.items():
        matrix[row, adata.obs_names.get_loc(spot)] = weight / len(weights)
    adata.obsp[name] = matrix.tocsr()


@pytest.fixture
def section() -> ad.AnnData:
    """Two domains side by side on a square lattice over an image; both modalities attend."""
    row, column = np.divmod(np.arange(8 * COLUMNS), COLUMNS)
    xy = STEP * np.column_stack([column, row]) + 10
    adata = ad.AnnData(np.ones((len(xy), 2), dtype=np.float32), obsm={"spatial": xy})
    adata.obs_names = [f"s{r}{c}" for r, c in zip(row, column, strict=True)]
    adata.obs["multist_domain"] = pd.Categorical(np.where(column < 5, "left", "right"))
    adata.obs["multist_confidence"], adata.obs["multist_image_weight"] = 0.9, 0.25
    adata.obs["sample"] = pd.Categorical(np.where(row < 6, "upper", "lower"))
    adata.uns["multist_domain_colors"] = ["#112233", "#445566"]
    adata.obsp["spatial_connectivities"] = sp.csr_matrix((np.abs(cdist(xy, xy) - STEP) < 0.1).astype(np.float32))
    for name, weights in (("multist_attention", KEYS), ("multist_image_attention", IMAGE_KEYS)):
        adata.obsp[name] = with_itself(adata.obsp["spatial_connectivities"])
        give(adata, name, weights)
    image = np.full((100, 120, 3), 200, dtype=np.uint8)
    scales = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 6.0}
    adata.uns["spatial"] = {"section": {"images": {"hires": image}, "scalefactors": scales}}
    return adata


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


def places(adata: ad.AnnData, names: dict[str, float]) -> dict[str, tuple[float, float]]:
    xy = resolve(adata).xy
    return {name: tuple(np.round(xy[adata.obs_names.get_loc(name)], 3).tolist()) for name in names}


def test_the_spot_and_its_neighbours_are_filled_and_nothing_else_is(section: ad.AnnData):
    for ax in mt.pl.attention(section, SPOT, show=False):
        assert set(circles(ax)) == set(places(section, KEYS).values())
        np.testing.assert_allclose(rings(ax), [places(section, KEYS)[SPOT]], atol=1e-3)


def test_circles_have_their_true_size_and_the_ring_lies_around(section: ad.AnnData):
    ax, _ = mt.pl.attention(section, SPOT, show=False)
    *spots, ring = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    assert {width for each in spots for width in each.get_widths()} == {6.0}
    assert 6 < ring.get_widths()[0] < STEP


def test_numbers_and_colours_are_relative_to_equal_weights(section: ad.AnnData):
    expression, image = mt.pl.attention(section, SPOT, show=False)
    at = places(section, KEYS)
    assert numbers(expression) == {at[name]: f"{weight:.2f}" for name, weight in KEYS.items()}
    assert numbers(image) == {at[name]: f"{weight:.2f}" for name, weight in IMAGE_KEYS.items()}
    cmap = mpl.colormaps["BrBG"]
    for ax, weights in ((expression, KEYS), (image, IMAGE_KEYS)):
        for name, weight in weights.items():
            # the largest factor is 2, so the scale goes from a half to two and 1 is in the middle
            wanted = cmap(0.5 + np.log2(weight) / 2)
            np.testing.assert_allclose(circles(ax)[at[name]][0], wanted, atol=0.03)


def test_a_few_per_cent_look_like_a_few_per_cent(section: ad.AnnData):
    del section.obsp["multist_image_attention"]
    give(section, "multist_attention", {SPOT: 1.0, "s34": 1.02, "s54": 0.98, "s43": 1.0, "s45": 1.0})
    (ax,) = mt.pl.attention(section, SPOT, show=False)
    faces = np.array([face for face, _ in circles(ax).values()])[:, :3]
    assert np.abs(faces - mpl.colormaps["BrBG"](0.5)[:3]).max() < 0.06


def test_edges_show_the_domains_and_a_line_divides_them(section: ad.AnnData):
    expression, _ = mt.pl.attention(section, SPOT, show=False)
    at = places(section, KEYS)
    edges = {name: circles(expression)[at[name]][1] for name in KEYS}
    assert edges.pop("s45") == "#445566"
    assert set(edges.values()) == {"#112233"}
    (lines,) = [c for c in expression.collections if isinstance(c, LineCollection)]
    assert set(np.round(np.array(lines.get_segments())[..., 0].ravel(), 6)) == {55.0}
    entries = [text.get_text() for ax in expression.figure.axes if (box := ax.get_legend()) for text in box.get_texts()]
    assert entries == ["left", "right", "chosen spot"]


def test_no_lines_come_apart_between_scattered_cells(section: ad.AnnData):
    section.obsm["spatial"] += np.random.default_rng(0).uniform(-4, 4, (section.n_obs, 2))
    for ax in mt.pl.attention(section, SPOT, show=False):
        assert not [c for c in ax.collections if isinstance(c, LineCollection)]
        assert set(circles(ax)) == set(places(section, KEYS).values())


def test_the_panels_say_which_side_of_the_border_counted(section: ad.AnnData):
    expression, image = mt.pl.attention(section, SPOT, show=False)
    assert expression.get_title(loc="left") == f"{SPOT}\ndomain left"
    assert image.get_title(loc="left") == "confidence 0.90\nimage weight 0.25"
    # of the neighbours, not the spot itself: (1.5 + 1.2 + 0.8) / 3, and the one across
    assert expression.get_xlabel() == "expression\nown domain ×1.17, others ×0.50"
    assert image.get_xlabel() == "image\nown domain ×1.03, others ×1.00"


def test_the_close_up_is_square_and_centred_and_as_wide_as_asked(section: ad.AnnData):
    x, y = places(section, KEYS)[SPOT]
    for ax in mt.pl.attention(section, SPOT, radius=4, show=False):
        assert ax.get_xlim() == pytest.approx((x - 24, x + 24))
        assert ax.get_ylim() == pytest.approx((y + 24, y - 24))
    by_itself = mt.pl.attention(section, SPOT, show=False)[0]
    left, right = by_itself.get_xlim()
    assert left < x - STEP - 3 and right > x + STEP + 3
    assert right - left < 60
    assert by_itself.images[0].get_array().max() == 200


def test_without_an_image_there_is_one_panel_a_spot_and_no_word_of_one(section: ad.AnnData):
    del section.obsp["multist_image_attention"], section.uns["spatial"]
    one, two = mt.pl.attention(section, [SPOT, "s11"], show=False)
    assert not one.images
    assert set(circles(one)) == set(places(section, KEYS).values())
    assert one.get_title(loc="left") == f"{SPOT}\ndomain left\nconfidence 0.90"
    assert two.get_title(loc="left").startswith("s11\n")
    assert two.get_xlabel() == "expression\nown domain ×1.00"


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
    upper, _, below, _ = mt.pl.attention(both, [SPOT, f"lower-{SPOT}"], library_key="sample", show=False)
    assert (upper.images[0].get_array().max(), below.images[0].get_array().max()) == (200, 60)
    for ax, section_name, color in ((upper, "upper", 0), (below, "lower", 1)):
        assert section_name in ax.get_title(loc="left").splitlines()[0]
        wanted = mt.pl.domains(both, library_key="sample", show=False)[color].collections[0].get_facecolors()[0]
        drawn = [c for c in ax.collections if isinstance(c, EllipseCollection) and len(c.get_offsets()) > 1]
        assert {to_hex(edge) for c in drawn for edge in c.get_edgecolors()} == {to_hex(wanted)}


def test_numbers_of_cells_that_overlap_do_not(section: ad.AnnData):
    section.obsm["spatial"][section.obs_names.get_loc("s34")] = section.obsm["spatial"][
        section.obs_names.get_loc(SPOT)
    ] + (0.5, 0.2)
    expression, _ = mt.pl.attention(section, SPOT, show=False)
    expression.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in expression.texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    assert f"{KEYS[SPOT]:.2f}" in numbers(expression).values()


def test_a_spot_that_sees_itself_alone_is_drawn(section: ad.AnnData):
    alone = sp.identity(section.n_obs, format="csr", dtype=np.float32)
    section.obsp["multist_attention"] = section.obsp["multist_image_attention"] = alone
    expression, _ = mt.pl.attention(section, SPOT, show=False)
    assert set(numbers(expression).values()) == {"1.00"}
    assert expression.get_xlabel() == "expression\nno neighbour with a domain"


def test_a_neighbour_of_no_weight_at_all_ends_the_scale_and_it_says_so(section: ad.AnnData):
    give(section, "multist_attention", {SPOT: 5.0, "s34": 0.0, "s54": 0.0, "s43": 0.0, "s45": 0.0})
    # as the network without neighbourhoods writes it: stored zeros
    kept = with_itself(section.obsp["spatial_connectivities"])
    kept.data = np.asarray(section.obsp["multist_attention"][kept.nonzero()]).ravel().astype(np.float32)
    section.obsp["multist_attention"] = kept
    expression, _ = mt.pl.attention(section, SPOT, show=False)
    faces = {name: circles(expression)[place][0] for name, place in places(section, KEYS).items()}
    np.testing.assert_allclose(faces["s34"], mpl.colormaps["BrBG"](0.0))
    np.testing.assert_allclose(faces[SPOT], mpl.colormaps["BrBG"](1.0))
    assert sorted(numbers(expression).values()) == ["0.00"] * 4 + ["5.00"]


def test_spatialdata_is_drawn_over_its_image_and_nothing_is_written(tissue: SpatialData):
    mt.pp.spatial_graph(tissue)
    table = get_table(tissue, None)
    table.obs["second_domain"] = table.obs["domain"].astype(str).astype("category")
    table.obsp["second_attention"] = with_itself(table.obsp["spatial_connectivities"])
    before = table.copy()
    name = table.obs_names[200]
    (ax,) = mt.pl.attention(tissue, name, "second", show=False)
    neighbours = table.obsp["spatial_connectivities"][200].indices
    expected = np.round(resolve(tissue).xy[[*neighbours, 200]], 3)
    assert set(circles(ax)) == set(map(tuple, expected.tolist()))
    assert ax.images
    assert (set(table.uns), set(table.obsp)) == (set(before.uns), set(before.obsp))
    pd.testing.assert_frame_equal(table.obs, before.obs)


def test_saving_writes_the_file_and_leaves_no_figure_open(section: ad.AnnData, tmp_path):
    assert mt.pl.attention(section, [SPOT, "s11", "s66"], save=tmp_path / "attention.png") is None
    assert (tmp_path / "attention.png").stat().st_size > 10_000
    assert not plt.get_fignums()


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
        (SPOT, {"key": "second"}, KeyError, "no 'second_attention' in obsp; found: 'spatial_connectivities'"),
        (SPOT, {"domain_key": "leiden"}, KeyError, "domain_key 'leiden' not found"),
        (SPOT, {"domain_key": "multist_confidence"}, ValueError, "numbers that are no names"),
        (SPOT, {"size": 0}, ValueError, "size"),
        (SPOT, {"alpha": 2}, ValueError, "alpha"),
        (SPOT, {"radius": -1}, ValueError, "radius"),
        (SPOT, {"ncols": 0}, ValueError, "ncols"),
    ],
)
def test_impossible_calls_are_refused(section: ad.AnnData, spots, options, error, message):
    with pytest.raises(error, match=message):
        mt.pl.attention(section, spots, show=False, **options)
    assert not plt.get_fignums()


def test_a_spot_without_weights_is_named(section: ad.AnnData):
    matrix = section.obsp["multist_image_attention"].tolil()
    matrix[section.obs_names.get_loc(SPOT)] = 0
    section.obsp["multist_image_attention"] = matrix.tocsr()
    with pytest.raises(ValueError, match=r"obsp\['multist_image_attention'\] has no weights for 's44'"):
        mt.pl.attention(section, SPOT, show=False)
