"""The examples in the docstrings of public functions run, and say what they say."""

from __future__ import annotations

import doctest
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.datasets import layered_tissue

FACES = ("pp", "tl", "pl", "metrics", "datasets")
PUBLIC = {f"{face}.{name}": getattr(getattr(mt, face), name) for face in FACES for name in dir(getattr(mt, face))}
PUBLIC = {name: each for name, each in PUBLIC.items() if callable(each)} | {"MultiST": mt.MultiST, "report": mt.report}
SPOTS = ["AAACAAGTATCTCCCA-1", "AAACAGAGCGACTCCT-1"]
GENES = ["MBP", "MOBP", "PCP4", "ENC1"]


class SaidOrSilent(doctest.OutputChecker):
    """An example shows an output or leaves it out; what it shows has to be so."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory, shorten_training):
    """A small tissue in both forms, with whatever the examples take to be there, and the files that they read."""
    import geopandas as gpd
    import tifffile
    from shapely.geometry import box
    from spatialdata.models import ShapesModel

    size = {"n_spots": 200, "n_genes": 150, "image_size": 400}
    sdata, adata = layered_tissue(**size), layered_tissue(**size, format="anndata")
    adata.obs_names = [*SPOTS, *adata.obs_names[2:]]
    adata.var_names = [*adata.var_names[:-4], *GENES]
    adata.var["symbol"] = adata.var_names
    adata.obs["layer"] = adata.obs["domain"]
    adata.layers["counts"] = adata.X.copy()
    for table in (sdata.tables["table"], adata):
        named = table.obs.groupby("domain", observed=True).head(3).index
        table.obs["annotation"] = pd.Series(table.obs.loc[named, "domain"].astype(str), index=table.obs_names)
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        for data in (sdata, adata):
            mt.tl.multist_domains(data, 7)
    x0, y0, x1, y1 = sdata.shapes["spots"].total_bounds
    halves = [box(x0, y0, x1, (y0 + y1) / 2), box(x0, (y0 + y1) / 2, x1, y1)]
    sdata.shapes["drawn"] = ShapesModel.parse(gpd.GeoDataFrame({"class": ["upper", "lower"]}, geometry=halves))
    folder = tmp_path_factory.mktemp("files")
    drawings = gpd.GeoDataFrame({"tissue": ["upper", "lower"]}, geometry=halves)
    drawings.to_file(folder / "from_geopandas.geojson", driver="GeoJSON")
    for drawn in ("drawn_in_qupath.geojson", "corrected.geojson"):
        mt.tl.write_domains(adata, folder / drawn, "domain")
    for name, few in (("tumor", SPOTS[:1]), ("stroma", SPOTS[1:])):
        (folder / f"{name}.csv").write_text(f"#Selection name: {name}\nCell ID\n" + "\n".join(few) + "\n")
    tifffile.imwrite(folder / "slide.ome.tif", np.full((64, 64, 3), 200, np.uint8), photometric="rgb")
    return sdata, adata, folder


@pytest.fixture
def namespace(analysed, tmp_path, monkeypatch):
    """The names that examples use, and a folder with the files that they read."""
    import scanpy as sc
    import spatialdata as sd
    import squidpy as sq

    from multist.access.tables import copy_data

    monkeypatch.chdir(shutil.copytree(analysed[2], tmp_path, dirs_exist_ok=True))
    monkeypatch.setattr(mt.tl, "interactions", partial(mt.tl.interactions, n_perms=50))
    monkeypatch.setattr(mt.tl, "border_sharpness", partial(mt.tl.border_sharpness, n_null=40))
    sdata, adata = copy_data(analysed[0]), analysed[1].copy()
    first, second = adata.copy(), adata.copy()
    for one in (first, second):
        for made in ("X_pca", "X_multist"):
            del one.obsm[made]
    names = {"mt": mt, "sc": sc, "sq": sq, "sd": sd, "np": np, "pd": pd, "sdata": sdata, "adata": adata}
    names |= {"first": first, "second": second, "spots": sdata.shapes["spots"], "table": sdata.tables["table"]}
    names["pairs"] = adata.uns["interactions"][["source", "target"]]
    yield names


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_has_an_example_that_runs(name, namespace):
    example = doctest.DocTestParser().get_doctest(PUBLIC[name].__doc__ or "", namespace, name, None, None)
    assert example.examples
    report: list[str] = []
    failed = doctest.DocTestRunner(checker=SaidOrSilent(), verbose=False).run(example, out=report.append).failed
    assert not failed, "".join(report)
