"""Annotations in the files of QuPath, Loupe Browser and Xenium Explorer become a column."""

from __future__ import annotations

import gzip
from typing import Any

import anndata as ad
import numpy as np
import pytest

import multist as mt

SIDE, PITCH = 10, 10.0
XY = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2) * PITCH


def ring(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def named(adata: ad.AnnData, key: str = "annotation") -> dict[str, set[tuple[int, int]]]:
    places = np.rint(np.asarray(adata.obsm["spatial"]) / PITCH).astype(int)
    column = adata.obs[key]
    return {name: {(int(x), int(y)) for x, y in places[(column == name).to_numpy()]} for name in column.cat.categories}


def grid(x0: int, x1: int, y0: int, y1: int) -> set[tuple[int, int]]:
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def test_every_geometry_that_qupath_draws_names_its_spots(spot_grid, write_file, feature, collection):
    path = write_file(
        collection(
            feature("Polygon", [ring(-5, -5, 45, 45), ring(5, 5, 35, 35)], "ring"),
            feature("MultiPolygon", [[ring(15, 15, 25, 25)], [ring(65, 65, 85, 85)]], "islands"),
            feature("Point", [91, 2], "point"),
            feature("MultiPoint", [[51, 52], [59, 61]], "points"),
            feature("LineString", [[-5, 92], [95, 92]], "stroke"),
            feature("MultiLineString", [[[88, 8], [88, 42]]], "strokes"),
        )
    )
    assert mt.pp.read_labels(spot_grid, path) is None
    assert named(spot_grid) == {
        "ring": grid(0, 5, 0, 5) - grid(1, 4, 1, 4),
        "islands": {(2, 2)} | grid(7, 9, 7, 9),
        "point": {(9, 0)},
        "points": {(5, 5), (6, 6)},
        "stroke": grid(0, 10, 9, 10),
        "strokes": grid(9, 10, 1, 5),
    }


@pytest.mark.parametrize(("width", "rows"), [(3.0, 0), (5.0, 1), (20.0, 2)])
def test_a_stroke_is_as_wide_as_it_is_said_to_be(spot_grid, write_file, width: float, rows: int, feature, collection):
    line = feature("LineString", [[-5, 72], [95, 72]], "a")
    path = write_file(collection(line, feature("Point", [0, 0], "b")))
    mt.pp.read_labels(spot_grid, path, stroke_width=width)
    assert named(spot_grid).get("a", set()) == grid(0, 10, 7, 7 + rows)


def test_collections_lists_and_single_features_are_read(spot_grid, write_file, feature, collection):
    drawing = feature("Polygon", [ring(-5, -5, 15, 15)], "a")
    for content in (collection(drawing), [drawing], drawing):
        found = mt.pp.read_labels(spot_grid, write_file(content), copy=True)
        assert named(found) == {"a": grid(0, 2, 0, 2)}


@pytest.mark.parametrize(
    ("properties", "name", "color"),
    [
        ({"classification": {"name": "Tumor", "color": [200, 0, 10]}}, "Tumor", "#C8000A"),
        ({"classification": {"name": "Tumor", "colorRGB": -3670016}}, "Tumor", "#C80000"),
        ({"classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}}, "Tumor: Positive", "#010203"),
        ({"classification": "Tumor"}, "Tumor", None),
        ({"classification": {"name": "Tumor", "color": [1, 2, 999]}}, "Tumor", None),
        ({"name": "Région β", "color": [255, 128, 0]}, "Région β", "#FF8000"),
        ({"classification": {}, "name": "b"}, "b", None),
        ({}, "drawn", None),
        (None, "drawn", None),
    ],
)
def test_class_and_colour_are_found_where_each_version_puts_them(
    spot_grid, write_file, properties, name, color, feature, collection
):
    drawing = feature("Polygon", [ring(-5, -5, 15, 15)])
    drawing["properties"] = properties
    mt.pp.read_labels(spot_grid, write_file(collection(drawing)))
    assert named(spot_grid) == {name: grid(0, 2, 0, 2)}
    (written,) = spot_grid.uns["annotation_colors"]
    assert written == color or (color is None and written == "#E69F00")


def test_drawings_without_a_class_are_left_out_where_others_have_one(spot_grid, write_file, caplog, feature):
    path = write_file([feature("Polygon", [ring(-5, -5, 95, 95)]), feature("Polygon", [ring(-5, -5, 15, 15)], "a")])
    mt.pp.read_labels(spot_grid, path)
    assert named(spot_grid) == {"a": grid(0, 2, 0, 2)}
    assert "1 of 2 drawings" in caplog.text


@pytest.fixture
def halves(feature, collection):
    """Draw the left and the right half of the grid with the properties that another program than QuPath wrote."""

    def make(*properties: dict[str, Any]) -> dict[str, Any]:
        left, right = (feature("Polygon", [ring(x, -5, x + 50, 95)]) for x in (-5, 45))
        left["properties"], right["properties"] = properties
        return collection(left, right)

    return make


@pytest.mark.parametrize("key", ["label", "Class", "kind"])
def test_the_text_that_tells_drawings_apart_is_their_class_and_the_log_says_so(
    spot_grid, write_file, key, caplog, halves
):
    caplog.set_level("INFO")
    others = {"id": 1, "layer": "drawn", "path": None, "color": "red"}
    mt.pp.read_labels(spot_grid, write_file(halves({key: "grey"} | others, {key: "white"} | others)))
    assert named(spot_grid) == {"grey": grid(0, 5, 0, 10), "white": grid(5, 10, 0, 10)}
    assert list(spot_grid.uns["annotation_colors"]) == ["#FF0000", "#FF0000"]
    assert f"is what '{key}' says" in caplog.text


@pytest.mark.slow
def test_identifiers_of_drawings_are_no_classes(spot_grid, write_file, halves):
    left, right = (dict.fromkeys(("id", "fid", "uuid", "OBJECTID"), name) for name in ("a1", "a2"))
    mt.pp.read_labels(spot_grid, write_file(halves({"kind": "x"} | left, {"kind": "x"} | right)))
    assert named(spot_grid) == {"drawn": grid(0, 10, 0, 10)}
    mt.pp.read_labels(spot_grid, write_file(halves({"kind": "x"} | left, {"kind": "y"} | right)))
    assert set(named(spot_grid)) == {"x", "y"}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeated", "classes"), [(8, False, 8), (9, False, 1), (9, True, 8)])
def test_a_text_that_differs_between_all_of_many_drawings_is_no_class(
    spot_grid, write_file, n, repeated, classes, feature, collection
):
    points = [feature("Point", [PITCH * i, 0], remark=f"remark {i % 8 if repeated else i}") for i in range(n)]
    mt.pp.read_labels(spot_grid, write_file(collection(*points)))
    assert len(named(spot_grid)) == classes
    mt.pp.read_labels(spot_grid, write_file(collection(*points)), label_key="remark")
    assert len(named(spot_grid)) == (8 if repeated else n)


def test_a_usual_name_is_read_where_all_drawings_are_of_one_class_and_before_other_texts(spot_grid, write_file, halves):
    path = write_file(halves({"label": "grey", "by": "A"}, {"label": "grey", "by": "B"}))
    mt.pp.read_labels(spot_grid, path)
    assert named(spot_grid) == {"grey": grid(0, 10, 0, 10)}


def test_the_class_is_what_label_key_names_also_beside_that_of_qupath(spot_grid, write_file, halves):
    path = write_file(halves({"classification": {"name": "a"}, "grade": 1}, {"classification": "b", "grade": 2}))
    mt.pp.read_labels(spot_grid, path, label_key="grade")
    assert named(spot_grid) == {"1": grid(0, 5, 0, 10), "2": grid(5, 10, 0, 10)}
    mt.pp.read_labels(spot_grid, path)
    assert set(named(spot_grid)) == {"a", "b"}


def test_whole_numbers_beside_a_missing_one_are_written_without_decimals(spot_grid, write_file, halves):
    mt.pp.read_labels(spot_grid, write_file(halves({"grade": 1.0}, {"grade": None})), label_key="grade")
    assert named(spot_grid) == {"1": grid(0, 5, 0, 10)}


@pytest.mark.parametrize("key", ["Color", "COLOUR"])
def test_colours_are_read_whatever_the_case_of_their_name(spot_grid, write_file, key, halves):
    mt.pp.read_labels(spot_grid, write_file(halves({"kind": "a", key: "red"}, {"kind": "b", key: "lime"})))
    assert list(spot_grid.uns["annotation_colors"]) == ["#FF0000", "#00FF00"]


def test_label_key_chooses_among_columns_of_groups_and_of_selections(spot_grid, write_file):
    mt.pp.read_labels(spot_grid, write_file("Barcode,g,h\nACGT000-1,x,y\n", "g.csv"), label_key="h")
    assert named(spot_grid) == {"y": {(0, 0)}}
    rows = "".join(f"one,{x},{y},a,b\n" for x, y in ring(-5, -5, 15, 15))
    path = write_file("Selection,X,Y,Class,Grade\n" + rows, "selections.csv")
    mt.pp.read_labels(spot_grid, path, label_key="Grade", scale=1)
    assert named(spot_grid) == {"b": grid(0, 2, 0, 2)}


def test_selections_without_the_class_that_label_key_names_are_left_out(spot_grid, write_file, caplog):
    corners = ring(-5, -5, 15, 15)
    rows = [f"{name},{x},{y},{grade},#0000{grade}0" for name, grade in (("one", ""), ("two", "7")) for x, y in corners]
    path = write_file("Selection,X,Y,Grade,Color\n" + "\n".join(rows), "selections.csv")
    mt.pp.read_labels(spot_grid, path, label_key="Grade", scale=1)
    assert named(spot_grid) == {"7": grid(0, 2, 0, 2)}
    assert "1 of 2 drawings" in caplog.text


def test_features_without_a_geometry_are_left_out_and_counted(spot_grid, write_file, caplog, feature, collection):
    nothing = feature("Point", [0, 0], "b") | {"geometry": None}
    mt.pp.read_labels(spot_grid, write_file(collection(feature("Point", [0, 0], "a"), nothing)))
    assert named(spot_grid) == {"a": {(0, 0)}}
    assert "1 of 2 features" in caplog.text and "have no geometry and are left out" in caplog.text


def test_drawings_on_a_smaller_image_are_scaled_by_number_or_by_image(spot_grid, write_file, feature, collection):
    path = write_file(collection(feature("Polygon", [ring(3.75, 3.75, 11.25, 13.75)], "a")))
    for arguments in ({"scale": 4.0}, {"image_key": "hires"}):
        changed = mt.pp.read_labels(spot_grid, path, copy=True, **arguments)
        assert named(changed) == {"a": grid(2, 5, 2, 6)}
    assert "annotation" not in spot_grid.obs


def test_coordinates_of_a_spatialdata_are_pixels_of_its_image(tissue, tissue_table, write_file, feature, collection):
    xy = tissue_table.obsm["spatial"] / 4  # the image of the SpatialData is the hires image of the AnnData
    (x0, y0), (x1, y1) = np.quantile(xy, [0.25, 0.75], axis=0)
    path = write_file(collection(feature("Polygon", [ring(x0, y0, x1, y1)], "middle")))
    mt.pp.read_labels(tissue, path)
    mt.pp.read_labels(tissue_table, path, scale=4)
    found = tissue.tables["table"].obs["annotation"]
    assert 50 < found.notna().sum() < 200
    assert found.equals(tissue_table.obs["annotation"])


def test_loupe_groups_are_matched_by_barcode(spot_grid, write_file, caplog):
    lines = [f"{barcode},{'edge' if i < 10 else ''}" for i, barcode in enumerate(spot_grid.obs_names[::-1])]
    mt.pp.read_labels(spot_grid, write_file("Barcode,My groups\n" + "\n".join([*lines, "TTTT-1,edge"]), "groups.csv"))
    assert named(spot_grid) == {"edge": grid(0, 10, 9, 10)}
    assert "10 of 11 observations" in caplog.text


@pytest.mark.parametrize("ending", ["", "-2"])
def test_the_number_behind_a_barcode_is_left_aside_where_only_it_differs(spot_grid, write_file, ending: str):
    ids = [name.removesuffix("-1") + ending for name in spot_grid.obs_names[:3]]
    mt.pp.read_labels(spot_grid, write_file("Barcode,g\r\n" + "\r\n".join(f'{each},"a, b"' for each in ids), "g.csv"))
    assert named(spot_grid) == {"a, b": {(0, 0), (1, 0), (2, 0)}}


def test_the_number_behind_a_barcode_counts_where_it_tells_two_apart(spot_grid, write_file):
    spot_grid = spot_grid[:4].copy()
    spot_grid.obs_names = ["A-1", "A-2", "B-1", "B-2"]
    mt.pp.read_labels(spot_grid, write_file("Barcode,g\nA-2,x\nB-1,y\n", "g.csv"))
    assert spot_grid.obs["annotation"].astype(object).fillna("").tolist() == ["", "x", "y", ""]


@pytest.mark.parametrize(
    ("affixed", "ending"),
    [("{0}-1-{1}", "-1"), ("{0}-1_{1}", "-1"), ("{1}_{0}-1", "-1"), ("run/{1}#{0}-1", "-1"), ("{0}-1-{1}", "")],
)
def test_what_concatenating_added_to_the_names_of_a_section_is_left_aside(
    spot_grid, write_file, affixed, ending, caplog
):
    caplog.set_level("INFO")
    spot_grid.obs["lib"] = np.repeat(["A", "B"], 50)
    spot_grid.obs_names = [affixed.format(f"AC{i % 50:02d}GT", "AB"[i // 50]) for i in range(100)]
    path = write_file(f"Barcode,g\nAC03GT{ending},x\nAC07GT{ending},x\n", "g.csv")
    mt.pp.read_labels(spot_grid, path, library_key="lib", section="B")
    assert np.flatnonzero(spot_grid.obs["annotation"].notna()).tolist() == [53, 57]
    assert "with which all 50 in the table begin or end" in caplog.text


def test_names_and_columns_that_end_alike_are_all_tried(spot_grid, write_file):
    spot_grid.obs_names = [f"AC{i:03d}_A" for i in range(100)]
    spot_grid.obs["cell_id"] = [f"z{i}_A" for i in range(100)]
    mt.pp.read_labels(spot_grid, write_file("Barcode,g\nAC003,x\n", "g.csv"))
    assert named(spot_grid) == {"x": {(3, 0)}}


def test_no_letter_of_a_name_is_left_aside(spot_grid, write_file):
    spot_grid.obs_names = [f"c1{i:03d}" for i in range(100)]
    with pytest.raises(ValueError, match="none of 1 observations"):
        mt.pp.read_labels(spot_grid, write_file("cell_id,g\n007,x\n", "g.csv"))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_the_header_tells_the_separator(spot_grid, write_file, separator: str):
    text = "Barcode,My groups\nACGT000-1,a\nACGT001-1,a\n".replace(",", separator)
    mt.pp.read_labels(spot_grid, write_file(text, "groups.csv"))
    corners = "".join(f"{x}{separator}{y}\n" for x, y in ring(-5, -5, 15, 15))
    assert named(spot_grid) == {"a": {(0, 0), (1, 0)}}
    mt.pp.read_labels(spot_grid, write_file(f"X{separator}Y\n{corners}", "b.csv"), scale=1)
    assert named(spot_grid) == {"b": grid(0, 2, 0, 2)}


def test_decimal_commas_are_read_between_semicolons(spot_grid, write_file):
    corners = "".join(f"{x};{y}\n".replace(".", ",") for x, y in ring(-5.5, -5.5, 15.5, 15.5))
    mt.pp.read_labels(spot_grid, write_file("X;Y\n" + corners, "a.csv"), scale=1)
    assert named(spot_grid) == {"a": grid(0, 2, 0, 2)}


def test_separators_behind_the_last_column_are_no_columns(spot_grid, write_file):
    mt.pp.read_labels(spot_grid, write_file("Barcode;g;;\nACGT000-1;a;;\n", "groups.csv"))
    assert named(spot_grid) == {"a": {(0, 0)}}


@pytest.mark.parametrize("header", ["color", "Colour"])
def test_xenium_groups_are_matched_by_cell_id_and_keep_their_colours(spot_grid, write_file, header):
    spot_grid.obs["cell_id"] = [f"cell{i}" for i in range(len(XY))]
    text = f"cell_id,group,{header}\ncell0,a,#FF0000\ncell1,b,#00ff00\n"
    mt.pp.read_labels(spot_grid, write_file(text, "groups.csv"))
    assert named(spot_grid) == {"a": {(0, 0)}, "b": {(1, 0)}}
    assert list(spot_grid.uns["annotation_colors"]) == ["#FF0000", "#00FF00"]


def test_the_first_colour_that_a_group_has_is_its(spot_grid, write_file):
    text = "Barcode,group,color\nACGT000-1,a,\nACGT001-1,a,#ff0000\nACGT002-1,a,#00ff00\n"
    mt.pp.read_labels(spot_grid, write_file(text, "groups.csv"))
    assert list(spot_grid.uns["annotation_colors"]) == ["#FF0000"]


@pytest.mark.parametrize(
    "content",
    [
        ",layer\nACGT000-1,L1\nACGT001-1,\nACGT002-1,L2\n",
        '"","layer"\n"ACGT000-1","L1"\n"ACGT001-1",NA\n"ACGT002-1","L2"\n',
        "\tlayer\nACGT000-1\tL1\nACGT001-1\t\nACGT002-1\tL2",
        '"layer"\n"ACGT000-1"\t"L1"\n"ACGT001-1"\tNA\n"ACGT002-1"\t"L2"\n',
        "spot_id,layer\nACGT000-1,L1\nACGT002-1,L2\n",
        ",barcode,layer\n0,ACGT000-1,L1\n1,ACGT001-1,nan\n2,ACGT002-1,L2\n",
        '"","layer","Barcode"\n"1","L1","ACGT000.1"\n"2","L2","ACGT002.1"\n',
        gzip.compress(b",layer\nACGT000-1,L1\nACGT001-1,None\nACGT002-1,L2\n"),
    ],
    ids=["pandas", "R", "tabs", "R without a name", "named", "counted", "counted from one, dots", "packed"],
)
def test_data_frames_whose_rows_are_spots_are_read(spot_grid, write_file, content: str | bytes):
    mt.pp.read_labels(spot_grid, write_file(content, "layers.csv"))
    assert spot_grid.obs["annotation"].dropna().to_dict() == {"ACGT000-1": "L1", "ACGT002-1": "L2"}


def test_counted_rows_may_be_the_spots_themselves(spot_grid, write_file):
    spot_grid.obs_names = [str(i) for i in range(100)]
    mt.pp.read_labels(spot_grid, write_file(",spot\n3,x\n", "g.csv"), label_key="spot")
    assert named(spot_grid) == {"x": {(3, 0)}}


def test_a_selection_without_a_name_is_called_as_the_file(spot_grid, write_file):
    corners = "".join(f",{x},{y}\n" for x, y in ring(-5, -5, 15, 15))
    mt.pp.read_labels(spot_grid, write_file(f"Selection,X,Y\n{corners}", "core.csv"), scale=1)
    assert named(spot_grid) == {"core": grid(0, 2, 0, 2)}


def test_a_group_may_be_called_as_missing_values_are_in_r(spot_grid, write_file):
    mt.pp.read_labels(spot_grid, write_file("Barcode,g\nACGT000-1,NA\n", "g.csv"))
    assert spot_grid.obs["annotation"].dropna().tolist() == ["NA"]


def test_instances_of_a_spatialdata_are_cell_ids(tissue, write_file):
    table = tissue.tables["table"]
    first = table.obs["spot_id"].iloc[:5].tolist()
    mt.pp.read_labels(tissue, write_file("cell_id,group\n" + "".join(f"{i},a\n" for i in first), "groups.csv"))
    assert table.obs["annotation"].notna().to_numpy().nonzero()[0].tolist() == [0, 1, 2, 3, 4]


SELECTION = "#Selection name: My area\n#Area (\u00b5m^2): 100.0\nX,Y\n"


def test_a_selection_of_xenium_explorer_is_in_micrometres(spot_grid, write_file):
    corners = "".join(f"{x / 2},{y / 2}\n" for x, y in ring(15, 15, 45, 55))
    mt.pp.read_labels(spot_grid, write_file(SELECTION + corners, "selection.csv"))
    assert named(spot_grid) == {"My area": grid(2, 5, 2, 6)}
    del spot_grid.uns["spatial"]
    with pytest.raises(ValueError, match="pass scale"):
        mt.pp.read_labels(spot_grid, write_file(SELECTION + corners, "selection.csv"))
    mt.pp.read_labels(spot_grid, write_file(SELECTION + corners, "selection.csv"), scale=2)
    assert named(spot_grid) == {"My area": grid(2, 5, 2, 6)}


def test_several_selections_in_one_file_and_in_several(spot_grid, write_file):
    corners = {name: ring(x, -5, x + 20, 15) for name, x in (("one", -5), ("two", 35))}
    rows = [f"{name},{x},{y},," for name, places in corners.items() for x, y in places]
    rows += [f"three,{x},{y},Tumour,#123456" for x, y in ring(65, 65, 85, 85)]
    header = "#Selection names: one, two, three\n#Areas (um^2): 1, 1, 1\nSelection,X,Y,Class,Color\n"
    mt.pp.read_labels(spot_grid, write_file(header + "\n".join(rows), "all.csv"), scale=1)
    expected = {"one": grid(0, 2, 0, 2), "two": grid(4, 6, 0, 2), "Tumour": grid(7, 9, 7, 9)}
    assert named(spot_grid) == expected
    assert spot_grid.uns["annotation_colors"][0] == "#123456"
    paths = [
        write_file("#Selection name: " + name + "\nX,Y\n" + "".join(f"{x},{y}\n" for x, y in places), f"{name}.csv")
        for name, places in corners.items()
    ]
    mt.pp.read_labels(spot_grid, paths, scale=1)
    assert named(spot_grid) == {name: expected[name] for name in ("one", "two")}


def test_the_cells_of_a_selection_are_a_group(spot_grid, write_file):
    text = "#Selection name: Tumour\n#Area (um^2): 5\nCell ID,Transcripts\nACGT004-1,12\nACGT005-1,7\n"
    mt.pp.read_labels(spot_grid, write_file(text, "cells.csv"))
    assert named(spot_grid) == {"Tumour": {(4, 0), (5, 0)}}


def test_corrected_domains_come_back_beside_the_strokes(spot_grid, write_file, caplog, feature, collection):
    strokes, corrected = (feature("Polygon", [ring(-5, -5, x, 95)], "left") for x in (15, 45))
    caplog.set_level("INFO")
    mt.pp.read_labels(spot_grid, write_file(collection(strokes)))
    mt.pp.read_labels(spot_grid, write_file(collection(corrected)), key_added="corrected")
    assert named(spot_grid) == {"left": grid(0, 2, 0, 10)} and named(spot_grid, "corrected") == {
        "left": grid(0, 5, 0, 10)
    }
    assert "replaced" not in caplog.text
    mt.pp.read_labels(spot_grid, write_file(collection(corrected)))
    assert "obs['annotation'] is replaced" in caplog.text and "other sections" not in caplog.text


def test_sections_are_read_one_after_the_other(spot_grid, write_file, feature, collection):
    spot_grid.obs["slide"] = np.repeat(["one", "two"], 50)
    spot_grid.obsm["spatial"][50:] = XY[:50]  # each slide has its own image, so places repeat
    spot_grid.uns["spatial"]["s2"] = spot_grid.uns["spatial"]["s1"]
    del spot_grid.uns["spatial"]
    one = write_file(collection(feature("Polygon", [ring(-5, -5, 15, 15)], "a")), "1.geojson")
    two = write_file(collection(feature("Polygon", [ring(-5, -5, 25, 15)], "b")), "2.geojson")
    with pytest.raises(ValueError, match="several sections; pass the section"):
        mt.pp.read_labels(spot_grid, one, library_key="slide")
    with pytest.raises(KeyError, match="section 'three' not found; found: 'one', 'two'"):
        mt.pp.read_labels(spot_grid, one, library_key="slide", section="three")
    mt.pp.read_labels(spot_grid, one, library_key="slide", section="one")
    first = spot_grid.uns["annotation_colors"][0]
    mt.pp.read_labels(spot_grid, two, library_key="slide", section="two")
    counts = spot_grid.obs.groupby(["slide", "annotation"], observed=True).size().to_dict()
    assert counts == {("one", "a"): 4, ("two", "b"): 6}
    assert spot_grid.uns["annotation_colors"][0] == first
    groups = write_file("Barcode,g\nACGT000-1,c\nACGT050-1,c\n", "g.csv")
    mt.pp.read_labels(spot_grid, groups, library_key="slide", section="two")
    counts = spot_grid.obs.groupby(["slide", "annotation"], observed=True).size().to_dict()
    assert counts == {("one", "a"): 4, ("two", "c"): 1}


def test_several_sections_in_uns_ask_for_the_column_that_names_them(spot_grid, write_file, feature, collection):
    spot_grid.uns["spatial"]["s2"] = spot_grid.uns["spatial"]["s1"]
    with pytest.raises(ValueError, match="pass library_key"):
        mt.pp.read_labels(spot_grid, write_file(collection(feature("Point", [0, 0], "a"))))


def test_the_file_and_what_is_shared_are_not_changed(spot_grid, write_file, feature, collection):
    path = write_file(collection(feature("Polygon", [ring(-5, -5, 15, 15)], "a")))
    before = path.read_bytes()
    spot_grid.obsm["spatial"].flags.writeable = False
    mt.pp.read_labels(spot_grid, path, scale=2.0)
    assert path.read_bytes() == before
    np.testing.assert_array_equal(spot_grid.obsm["spatial"], XY)


def test_classes_may_be_numbers_and_what_goes_by_its_name_is_told(spot_grid, write_file, caplog, halves):
    caplog.set_level("INFO")
    mt.pp.read_labels(spot_grid, write_file(halves({"class": 1, "who": "Ann"}, {"class": 2, "who": "Bob"})))
    assert named(spot_grid) == {"1": grid(0, 5, 0, 10), "2": grid(5, 10, 0, 10)}
    mt.pp.read_labels(spot_grid, write_file(halves({"classification": {"name": "a"}}, {"name": "artefact"})))
    assert named(spot_grid) == {"a": grid(0, 5, 0, 10), "artefact": grid(5, 10, 0, 10)}
    assert "1 drawing in" in caplog.text and "go by the names they have: 'artefact'" in caplog.text
