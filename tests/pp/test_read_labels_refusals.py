"""Files of annotations that are malformed, too large, or do not belong to the table."""

from __future__ import annotations

import gzip

import pytest

import multist as mt
from multist.pp import _drawn_json, _read_labels


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf  \n", "is empty"),
        ("Barcode,Schicht\nA-1,\u00e4u\u00dfere\n".encode("utf-16"), "no text in UTF-8 .*: save it as UTF-8"),
        ("Barcode,Schicht\nA-1,\u00e4u\u00dfere\n".encode("latin-1"), "no text in UTF-8 .*: save it as UTF-8"),
        ("[]", "holds no drawing"),
        ('{"type": "FeatureCollection", "features": []}', "holds no drawing"),
        ('{"type": "FeatureCollection", "features": [{"type": "Feature"', "no valid JSON.*cut off"),
        ('{"type": "FeatureCollection"}', "neither a FeatureCollection nor a list"),
        ('{"hello": 1}', "neither a FeatureCollection nor a list"),
        ("[1, 2]", "neither a FeatureCollection nor a list"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" + "9" * 10_000 + "]", "no valid JSON"),
        (gzip.compress(b"Barcode,g\nA-1,x\n", mtime=0)[:-9], "no whole gzip file"),
        ("Barcode,g\n", "no rows"),
        ("Barcode,g\nA-1,\n", "puts no observation into a group"),
        ("Barcode,g, g\nA-1,x,y\n", "several columns of one name: 'Barcode', 'g', 'g'"),
        ("Barcode,Barcode\n0\t\n", "puts no observation into a group"),
        ("X,x,Y\n1,1,2\n", "several columns of one name: 'x', 'x', 'y'"),
        ("X,Y,Class,class\n1,2,a,b\n", "several columns of one name"),
        ("layer\nA-1,x\ry\n", "header 'layer'; expected 'Barcode,<group>'"),
        ("Barcode,g,h\nA-1,x,y\n", "2 columns of groups .'g', 'h'.; name the one to be read by label_key"),
        ("Barcode\nA-1\n", "0 columns of groups"),
        ("gene,value\nA,1\n", "header 'gene', 'value'; expected 'Barcode,<group>'"),
        ("Barcode|g\nA-1|x\n", "header 'Barcode|g'; .* separated by commas, semicolons or tabs"),
        ("# nothing else\n", "holds no table"),
        ("Barcode,g\nACGT000-1,x\nACGT000-1,y\n", "1 observations are in two groups"),
        ("X,Y\n1,2\n3,4\n", "has 2 corners"),
        ("x,y,label\n1,2,a\n3,4,b\n5,6,a\n", "has 'label' beside x and y, and no selection: .*labels_from_shapes"),
        ("X,Y,Class\n1,2,a\n3,4,b\n5,6,a\n", "corners of selection .* are of several classes .'a', 'b'.; points"),
        ("X,Y\n1,2\n3,oops\n5,6\n", "row 2 .* has no number"),
        ("X,Y\n1,2\n3,inf\n5,6\n", "row 2 .* has no number"),
        ("X,Y\n", "holds no corners"),
    ],
)
def test_files_that_are_none_of_these_are_refused(spot_grid, write_file, content, says):
    with pytest.raises(ValueError, match=says):
        mt.pp.read_labels(spot_grid, write_file(content, "file"))
    assert "annotation" not in spot_grid.obs


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        (5, "geometry 5; known are Polygon"),
        ({"type": "GeometryCollection", "geometries": []}, "geometry 'GeometryCollection'"),
        ({"type": "Polygon"}, "no valid Polygon"),
        ({"type": "Polygon", "coordinates": []}, "Polygon without coordinates"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}, "no valid Polygon"),
        ({"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], ["a", 0]]]}, "no valid Polygon"),
        ({"type": "Polygon", "coordinates": [[[float("nan"), 0], [1, 0], [1, 1], [0, 0]]]}, "NaN is no number"),
        ({"type": "Point", "coordinates": [1]}, "no valid Point"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "no valid LineString"),
    ],
)
def test_geometries_that_are_none_are_refused_by_number(spot_grid, write_file, geometry, says, feature, collection):
    good, bad = feature("Point", [0, 0], "a"), feature("Point", [0, 0], "a")
    bad["geometry"] = geometry
    with pytest.raises(ValueError, match=says) as error:
        mt.pp.read_labels(spot_grid, write_file(collection(good, bad)))
    assert "feature 2" in str(error.value) or "NaN" in str(error.value)
    assert "annotation" not in spot_grid.obs


def test_files_that_are_too_large_are_refused(spot_grid, write_file, monkeypatch, feature, collection):
    path = write_file(collection(*[feature("Point", [0, 0], "a")] * 3))
    monkeypatch.setattr(_drawn_json, "MOST_DRAWINGS", 2)
    with pytest.raises(ValueError, match="holds 3 features; more than 2"):
        mt.pp.read_labels(spot_grid, path)
    monkeypatch.setattr(_read_labels, "MOST_BYTES", 50)
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(bytes(51)))
    for each in (path, packed):
        with pytest.raises(ValueError, match="holds more than 50 bytes, which are refused"):
            mt.pp.read_labels(spot_grid, each)


def test_unknown_barcodes_are_refused_with_both_sides(spot_grid, write_file):
    with pytest.raises(ValueError, match=r"none of 2 .* the file has 'X-1', 'Y-1', obs_names has 'ACGT000-1'"):
        mt.pp.read_labels(spot_grid, write_file("Barcode,g\nX-1,a\nY-1,b\n", "g.csv"))


def test_barcodes_that_sections_share_are_refused_with_both_cures(spot_grid, write_file):
    spot_grid.obs_names = [f"ACGT{i % 50:03d}-1-{'AB'[i // 50]}" for i in range(100)]
    with pytest.raises(ValueError, match=r"into obs\['barcode'\]; where sections share .* library_key= and section="):
        mt.pp.read_labels(spot_grid, write_file("Barcode,g\nACGT000-1,a\n", "g.csv"))


def test_of_several_properties_the_user_names_the_class(spot_grid, write_file, feature, collection):
    drawings = [feature("Point", [x, 0], "") for x in (0, 10)]
    for drawing, texts in zip(drawings, ({"layer": "a", "region": "x"}, {"layer": "b", "region": "y"}), strict=True):
        drawing["properties"] = texts
    path = write_file(collection(*drawings))
    with pytest.raises(ValueError, match="several properties of .*; pass label_key, one of: 'layer', 'region'"):
        mt.pp.read_labels(spot_grid, path)
    with pytest.raises(KeyError, match="label_key 'kind' is no property in .*; properties: 'layer', 'region'"):
        mt.pp.read_labels(spot_grid, path, label_key="kind")
    drawings[0]["properties"]["region"] = drawings[1]["properties"]["region"] = None
    with pytest.raises(ValueError, match="property 'region' of .* names no class for any of 2 drawings"):
        mt.pp.read_labels(spot_grid, write_file(collection(*drawings)), label_key="region")


def test_a_column_without_any_class_is_refused(spot_grid, write_file):
    path = write_file("X,Y,Grade\n1,2,\n3,4,\n5,2,\n", "area.csv")
    with pytest.raises(ValueError, match="column 'Grade' of .* names no class for any of 1 selection"):
        mt.pp.read_labels(spot_grid, path, label_key="Grade", scale=1)


def test_a_column_that_is_not_there_is_refused(spot_grid, write_file):
    with pytest.raises(KeyError, match="label_key 'h' is no column of .*; columns: 'Barcode', 'g'"):
        mt.pp.read_labels(spot_grid, write_file("Barcode,g\nACGT000-1,a\n", "g.csv"), label_key="h")


def test_a_file_without_any_geometry_is_refused(spot_grid, write_file, feature, collection):
    drawing = feature("Point", [0, 0], "a") | {"geometry": None}
    with pytest.raises(ValueError, match="holds no drawing: its 2 features have no geometry"):
        mt.pp.read_labels(spot_grid, write_file(collection(drawing, drawing)))


def test_drawings_beside_the_spots_are_refused_with_both_places(spot_grid, write_file, feature, collection):
    path = write_file(collection(feature("Polygon", [[[1000, 1000], [2000, 1000], [2000, 2000], [1000, 1000]]], "a")))
    with pytest.raises(ValueError, match="from 1000 to 2000.* spots at x from 0 to 90"):
        mt.pp.read_labels(spot_grid, path)


@pytest.mark.parametrize("argument", [{"scale": 2.0}, {"stroke_width": 2.0}, {"image_key": "hires"}])
def test_arguments_that_do_not_apply_are_refused(spot_grid, write_file, argument):
    path = write_file("Barcode,g\nACGT000-1,x\n", "g.csv")
    with pytest.raises(ValueError, match=f"{next(iter(argument))} is for drawings"):
        mt.pp.read_labels(spot_grid, path, **argument)


@pytest.mark.parametrize(("argument", "number"), [("scale", 0), ("stroke_width", float("nan"))])
def test_numbers_have_to_be_positive(spot_grid, write_file, argument: str, number: float):
    with pytest.raises(ValueError, match=f"{argument} must be a positive number"):
        mt.pp.read_labels(spot_grid, write_file("[]"), **{argument: number})


def test_files_of_two_kinds_and_no_file_are_refused(spot_grid, write_file, feature):
    paths = [write_file("Barcode,g\nACGT000-1,x\n", "g.csv"), write_file([feature("Point", [0, 0], "a")])]
    for path in (paths, []):
        with pytest.raises(ValueError, match="path names no file, or files with drawings and files with groups"):
            mt.pp.read_labels(spot_grid, path)
    with pytest.raises(FileNotFoundError):
        mt.pp.read_labels(spot_grid, "not there.csv")
