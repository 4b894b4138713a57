from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from spatialdata import SpatialData, read_zarr
from spatialdata.models import Image2DModel
from spatialdata.transformations import Scale, get_transformation

from multist.histology.stain_reference import StainReference
from multist.histology.stains import CLEAR, optical_density, white_point
from multist.histology.tissue import Overview, read_overview
from multist.pp import normalize_histology
from multist.pp._squidpy_stains import fit_reference

pytestmark = pytest.mark.slow  # nearly all of them draw or read images

# Stain vectors of two scanners, haematoxylin and eosin (Macenko et al., 2009, and the torchstain example pair).
STAINS = {
    "a": np.array([[0.667, 0.725, 0.170], [0.357, 0.917, 0.179]]),
    "b": np.array([[0.560, 0.720, 0.406], [0.216, 0.801, 0.558]]),
}
METHODS = ["patches", "macenko", "vahadane", "reinhard"]
SIDE, DIAMETER = 480, 24.0


@cache
def tissue_image(stain: str, seed: int = 0, strength: float = 1.0, glass: int = 238) -> np.ndarray:
    """Nuclei in a stroma of uneven eosin with a pale patch, glass around it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    h, e = np.full((SIDE, SIDE), 0.03), 0.55 + 0.35 * np.sin(x / 37) * np.cos(y / 29)
    for cx, cy in rng.uniform(0, SIDE, (900, 2)).astype(int):
        disk = (slice(max(cy - 4, 0), cy + 5), slice(max(cx - 4, 0), cx + 5))
        inside = (x[disk] - cx) ** 2 + (y[disk] - cy) ** 2 <= 16
        h[disk][inside], e[disk][inside] = 1.3, 0.05
    amounts = strength * np.stack([h, e], -1) * rng.uniform(0.9, 1.1, (SIDE, SIDE, 1))
    amounts[(x < 60) | (y < 60) | (x > 420) | (y > 420)] = 0
    rgb = glass * np.exp(-amounts @ (STAINS[stain] / np.linalg.norm(STAINS[stain], axis=1, keepdims=True)))
    return np.clip(rgb + rng.normal(0, 1, rgb.shape), 0, 255).round().astype(np.uint8)


def spots() -> np.ndarray:
    grid = np.arange(90, 400, 30.0)
    return np.column_stack([v.ravel() for v in np.meshgrid(grid, grid)])


def anndata(image: np.ndarray) -> ad.AnnData:
    xy = spots()
    adata = ad.AnnData(np.ones((len(xy), 1), np.float32))
    adata.obsm["spatial"] = xy * 2
    scalefactors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 2 * DIAMETER}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": scalefactors}}
    return adata


def spatialdata(
    toy: SimpleNamespace, image: np.ndarray | da.Array, scale_factors: list[int] | None = None
) -> SpatialData:
    scale = {"global": Scale([3.0, 3.0], axes=("x", "y"))}
    element = Image2DModel.parse(
        da.moveaxis(da.asarray(image), 2, 0), dims=("c", "y", "x"), scale_factors=scale_factors, transformations=scale
    )
    return toy.slide(element, spots() * 3, DIAMETER * 3)


@cache
def normalized(method: str) -> tuple[ad.AnnData, ad.AnnData]:
    """A slide, and a paler one of another scanner after it; not to be changed."""
    first, second = anndata(tissue_image("a")), anndata(tissue_image("b", seed=1, strength=0.8, glass=225))
    normalize_histology(first, method)
    assert normalize_histology(second, method, reference=first) is None
    return first, second


def hires(adata: ad.AnnData, key: str = "hires_normalized") -> np.ndarray:
    return adata.uns["spatial"]["s"]["images"][key]


def stained(image: np.ndarray) -> np.ndarray:
    overview = read_overview([da.from_array(image)], [1.0], spots(), DIAMETER)
    pixels = image[overview.tissue_at(np.arange(image.shape[0]), np.arange(image.shape[1]))]
    pixels = pixels[::9]  # enough to compare colours, and nine times as fast
    return pixels[optical_density(pixels, overview.white).mean(axis=-1) > CLEAR]


def stain_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of the colours' quantiles along many directions (sliced Wasserstein), in grey values."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3, 50))
    directions /= np.linalg.norm(directions, axis=0)
    q = np.linspace(0.01, 0.99, 99)
    return float(np.abs(np.quantile(a @ directions, q, axis=0) - np.quantile(b @ directions, q, axis=0)).mean())


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


@pytest.mark.parametrize("method", METHODS)
def test_two_slides_converge_and_the_background_keeps_its_bits(method):
    first, second = normalized(method)
    before, after, goal = hires(second, "hires"), hires(second), hires(first)
    share = 0.65 if method == "reinhard" else 0.5  # which moves channels one by one, and so tilts the hues
    assert stain_distance(stained(after), stained(goal)) < share * stain_distance(stained(before), stained(goal))
    assert after.dtype == np.uint8 and after.shape == before.shape
    glass = np.ones((SIDE, SIDE), bool)
    glass[50:431, 50:431] = False
    assert np.array_equal(after[glass], before[glass])
    assert second.uns["spatial"]["s"]["scalefactors"]["tissue_hires_normalized_scalef"] == 0.5


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard"])
def test_own_reference_changes_nothing(method):
    adata, _ = normalized(method)
    assert np.abs(hires(adata).astype(int) - hires(adata, "hires")).mean() < 1.0


def test_patches_move_the_slide_to_its_own_best_patches_and_say_which():
    adata, _ = normalized("patches")
    reference = adata.uns["multist"]["stain_reference"]
    assert reference["patch_xy"].shape == (6, 2), "a twentieth of 121 spots"
    held = {tuple(row) for row in spots()}
    assert all(tuple(row) in held for row in reference["patch_xy"])
    assert np.allclose(reference["patch_width"], 2 * DIAMETER)
    moved = optical_density(stained(hires(adata)), reference["white"])
    assert np.abs(moved.mean(axis=0) - reference["mean"]).max() < 0.08
    assert np.abs(hires(adata).astype(int) - hires(adata, "hires")).mean() < 15, (
        "one slide's patches look like the slide"
    )


@pytest.mark.parametrize("method", ["macenko", "patches"])
def test_known_stains_are_recovered_after_normalisation(method):
    source = anndata(tissue_image("b", seed=1))
    normalize_histology(source, method, reference=normalized(method)[0])
    overview = read_overview([da.from_array(hires(source))], [1.0], spots(), DIAMETER)
    fitted = fit_reference(overview, "macenko").stain_matrix
    for column, vector, name in zip(fitted.T, STAINS["a"], ("haematoxylin", "eosin"), strict=False):
        assert angle(column, vector) < 6, name


@pytest.mark.parametrize("tile", ["source", "target"])
def test_stain_vectors_of_the_example_pair(real_data, tile):
    """Against torchstain's, which uses the same glass of 240 and leaves out pixels with little stain in any channel."""
    image_module = pytest.importorskip("PIL.Image")
    rgb = np.asarray(image_module.open(real_data / "stain_pair" / f"{tile}.png").convert("RGB"))
    overview = Overview(rgb, 1.0, np.full(3, 240.0), np.ones(rgb.shape[:2], bool))
    matrix = fit_reference(overview, "macenko").stain_matrix
    given = {
        "source": ([0.667, 0.725, 0.170], [0.357, 0.917, 0.179]),
        "target": ([0.722, 0.662, 0.202], [0.350, 0.910, 0.222]),
    }[tile]
    assert angle(matrix[:, 0], np.array(given[0])) < 3
    assert angle(matrix[:, 1], np.array(given[1])) < 7


@pytest.mark.parametrize("method", ["patches", "macenko"])
def test_spatialdata_is_lazy_and_keeps_transformation_and_pyramid(method, toy):
    computed = []

    def block(part: np.ndarray) -> np.ndarray:
        computed.append(part.shape)
        return part

    lazy = da.from_array(tissue_image("a"), chunks=(160, 160, 3)).map_blocks(block, dtype=np.uint8)
    sdata = spatialdata(toy, lazy, [2, 2])
    computed.clear()
    normalize_histology(sdata, method)
    looked = len(computed)
    new, source = sdata.images["he_normalized"], sdata.images["he"]
    assert isinstance(new["scale0"]["image"].data, da.Array) and list(new.children) == list(source.children)
    for scale in source.children:
        assert new[scale]["image"].shape == source[scale]["image"].shape
    assert get_transformation(new, get_all=True) == get_transformation(source, get_all=True)
    new["scale0"]["image"].data[:, :160, :160].compute()
    assert 0 < len(computed) - looked < 9, "a corner of the result needs a corner of the source"


def test_reference_survives_files_and_is_taken_from_any_form(tmp_path, toy):
    sdata = spatialdata(toy, tissue_image("a"))
    normalize_histology(sdata)
    sdata.write(tmp_path / "a.zarr")
    adata = normalized("patches")[0].copy()
    adata.write_h5ad(tmp_path / "a.h5ad")
    from_zarr, from_h5ad = read_zarr(tmp_path / "a.zarr"), ad.read_h5ad(tmp_path / "a.h5ad")
    held = from_h5ad.uns["multist"]["stain_reference"]
    results = []
    for reference in (from_zarr, adata, from_h5ad, held, StainReference.from_dict(held)):
        other = anndata(tissue_image("b", seed=1))
        normalize_histology(other, reference=reference)
        results.append(hires(other))
        assert "patch_xy" not in other.uns["multist"]["stain_reference"], "places on another slide mean nothing here"
    for result in results[1:]:
        assert np.abs(result.astype(int) - results[0]).max() <= 1


def test_sections_of_a_table_go_to_the_first_slide_as_objects_do(monkeypatch):
    monkeypatch.setattr("multist.pp._normalize_histology._MAX_CANDIDATES", 40)
    a, b = anndata(tissue_image("a")), anndata(tissue_image("b", seed=1))
    both = ad.concat([a, b], keys=["a", "b"], label="library", index_unique="-")
    both.uns["spatial"] = {"a": a.uns["spatial"]["s"], "b": b.uns["spatial"]["s"]}
    both = both.copy()
    normalize_histology(both, library_key="library")
    images = [both.uns["spatial"][name]["images"] for name in "ab"]
    before = stain_distance(*(stained(entry["hires"]) for entry in images))
    after = stain_distance(*(stained(entry["hires_normalized"]) for entry in images))
    assert after < 0.4 * before
    assert set(both.uns["multist"]["stain_reference"]["patch_section"]) == {"a"}
    normalize_histology(a)
    normalize_histology(b, reference=a)
    for entry, table in zip(images, (a, b), strict=True):
        assert np.array_equal(entry["hires_normalized"], hires(table))


def test_copy_and_repetition():
    adata, again = anndata(tissue_image("a")), normalized("patches")[0].copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    result = normalize_histology(adata, copy=True)
    assert "hires_normalized" not in adata.uns["spatial"]["s"]["images"] and "multist" not in adata.uns
    normalize_histology(again)
    assert np.array_equal(hires(again), hires(result)), "the source is normalised, not what was normalised before"
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_errors_are_raised_and_leave_the_input_alone():
    adata, (other, _) = anndata(tissue_image("a")), normalized("macenko")
    broken = {**other.uns["multist"]["stain_reference"], "stain_matrix": np.eye(2)}
    no_image = anndata(tissue_image("a"))
    del no_image.uns["spatial"]
    cases = [
        (adata, {"image_key": "lowres"}, KeyError, "hires"),
        (adata, {"reference": other}, ValueError, "macenko"),
        (adata, {"method": "macenko", "reference": broken}, ValueError, "stain_matrix"),
        (adata, {"reference": anndata(tissue_image("a"))}, KeyError, "normalize_histology"),
        (adata, {"reference_key_added": "a/b"}, ValueError, "reference_key_added"),
        (adata, {"image_key_added": "hires"}, ValueError, "hires"),
        (no_image, {}, (KeyError, ValueError), "image"),
    ]
    for data, arguments, error, message in cases:
        with pytest.raises(error, match=message):
            normalize_histology(data, **arguments)
        assert "multist" not in data.uns
        assert list(data.uns.get("spatial", {}).get("s", {}).get("images", ["hires"])) == ["hires"]


@pytest.mark.parametrize("form", ["anndata", "spatialdata"])
def test_an_image_whose_reference_cannot_be_written_is_not_written_either(form, toy):
    data = anndata(tissue_image("a")) if form == "anndata" else spatialdata(toy, tissue_image("a"))
    table = data if form == "anndata" else data["table"]
    table.uns["MULTIST"] = "in the way: SpatialData cannot store it beside uns['multist']"
    with pytest.raises(ValueError, match="differs from 'MULTIST' in case only"):
        normalize_histology(data)
    images = data.uns["spatial"]["s"]["images"] if form == "anndata" else data.images
    assert list(images) == (["hires"] if form == "anndata" else ["he"])
    assert "multist" not in table.uns


def test_a_slide_without_two_stains_is_an_error_and_not_silence():
    grey = tissue_image("a").mean(axis=2, keepdims=True).repeat(3, axis=2).round().astype(np.uint8)
    adata = anndata(grey)
    with pytest.raises(RuntimeError, match="patches"):
        normalize_histology(adata, "macenko")
    assert "hires_normalized" not in adata.uns["spatial"]["s"]["images"]


def test_real_slides_of_two_stains_converge(real_data):
    a, c = (ad.read_h5ad(real_data / "her2st" / f"{name}.h5ad") for name in ("A1", "C3"))
    normalize_histology(a)
    normalize_histology(c, reference=a)
    entries = [d.uns["spatial"][name] for d, name in ((a, "A1"), (c, "C3"))]

    def at_spots(adata: ad.AnnData, entry: dict, key: str) -> np.ndarray:
        xy = (adata.obsm["spatial"] * entry["scalefactors"]["tissue_hires_scalef"]).astype(int)
        image = entry["images"][key]
        pixels = np.concatenate([image[y - 15 : y + 15 : 3, x - 15 : x + 15 : 3].reshape(-1, 3) for x, y in xy])
        return pixels[optical_density(pixels, white_point(image)).mean(axis=1) > CLEAR]

    goal = at_spots(a, entries[0], "hires_normalized")
    before, after = (stain_distance(at_spots(c, entries[1], key), goal) for key in ("hires", "hires_normalized"))
    assert after < 0.7 * before
    source, result = (entries[0]["images"][key] for key in ("hires", "hires_normalized"))
    assert np.array_equal(result[source.max(axis=2) < 10], source[source.max(axis=2) < 10]), "black frame"
    assert np.array_equal(result[:540, 1490:], source[:540, 1490:]), "inset"
