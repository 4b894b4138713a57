"""What was made from domains or an embedding goes when these are new, and is refused when somebody changed them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd

import multist as mt

pytestmark = pytest.mark.slow  # the first to run makes what all of them read


@pytest.fixture(scope="module")
def made_full(made_tissue) -> ad.AnnData:
    """Three domains on a small table, with everything that hangs on them, and the same beside it from other domains."""
    adata = made_tissue[1][:150].copy()
    del adata.uns["spatial"]
    mt.pp.embed_expression(adata, n_comps=10)
    adata.obsm["X_multist"] = adata.obsm["X_pca"].copy()
    mt.tl.cluster_domains(adata, [3, 4])
    # as many, because squidpy's test is compiled for each number of domains anew
    n_domains = adata.obs["multist_domain"].nunique()
    adata.obs["mine"] = pd.qcut(adata.obs["depth"], n_domains, labels=False).map("layer {}".format)
    pairs = pd.DataFrame({"source": adata.var_names[:2], "target": adata.var_names[2:4]})
    for cluster_key, key in (("multist_domain", "multist"), ("mine", "other")):
        mt.tl.pseudotime(adata, root=adata.obs_names[0], cluster_key=cluster_key, key_added=key, n_neighbors=8)
        mt.tl.interactions(adata, pairs, cluster_key=cluster_key, key_added=key, n_perms=5, min_edges=2, patch_size=2)
        mt.tl.ligrec(adata, cluster_key, pairs=pairs, key_added=key, n_perms=5)
        mt.tl.border_sharpness(adata, cluster_key=cluster_key, key_added=key, n_null=38)
    return adata


@pytest.fixture
def full(made_full) -> ad.AnnData:
    return made_full.copy()


HANGING = ("pseudotime", "interactions", "ligrec", "border_sharpness", "border_sharpness_params")


def test_new_domains_remove_what_hangs_on_the_old_and_nothing_else(full):
    mt.tl.cluster_domains(full, 2)
    assert not set(HANGING) & set(full.uns["multist"]) and "multist_pseudotime" not in full.obs
    assert "n_domains" not in full.uns["multist"], "the curve of the earlier choice"
    assert set(HANGING) <= set(full.uns["other"]) and "other_pseudotime" in full.obs
    said = "\n".join(full.uns["multist"]["decisions"]["cluster_domains"])
    for name in ("pseudotime", "interactions", "ligrec", "border_sharpness"):
        assert f"uns['multist'][{name!r}] is removed: it was made from obs['multist_domain'], which is new" in said
    assert "X_multist" in full.obsm and "'other'" not in said
    assert "pseudotime" not in full.uns["multist"]["decisions"] and "pseudotime" in full.uns["other"]["decisions"]


@pytest.mark.full_training
def test_the_same_domains_once_more_are_not_new(full):
    before = full.obs["multist_domain"].copy()
    mt.tl.cluster_domains(full, [3, 4])
    pd.testing.assert_series_equal(full.obs["multist_domain"], before)
    assert set(HANGING) <= set(full.uns["multist"]) and "multist_pseudotime" in full.obs


def test_domains_beside_the_old_ones_leave_them_alone(full):
    mt.tl.cluster_domains(full, 2, key_added="coarse")
    assert set(HANGING) <= set(full.uns["multist"]) and full.obs["coarse_domain"].nunique() == 2


def test_a_new_embedding_removes_domains_that_were_made_from_the_old(full, quick):
    mt.tl.cluster_domains(full, 2, key_added="coarse")
    mt.tl.cluster_domains(full, 2, key_added="own", use_rep="X_pca")
    mt.MultiST(quick).fit(full)
    assert not {"multist_domain", "multist_confidence", "coarse_domain", "multist_pseudotime"} & set(full.obs)
    assert not set(HANGING) & set(full.uns["multist"]) and "multist_domain_colors" not in full.uns
    assert {"own_domain", "mine"} <= set(full.obs)
    # its domains are the user's, but the order was taken along the old embedding
    assert "other_pseudotime" not in full.obs and "interactions" in full.uns["other"]
    said = "\n".join(full.uns["multist"]["decisions"]["fit"])
    assert "obs['coarse_domain'] is removed: it was made from obsm['X_multist'], which is new" in said


def test_domains_and_embedding_of_one_call_are_both_there_and_not_called_removed(full, quick):
    mt.tl.multist_domains(full, 3, config=quick)
    assert full.obs["multist_domain"].nunique() == 3 and "X_multist" in full.obsm
    said = "\n".join(full.uns["multist"]["decisions"]["multist_domains"])
    assert "obs['multist_domain'] is removed" not in said and "uns['multist']['pseudotime'] is removed" in said


@pytest.fixture(scope="module")
def made_fused(made_tissue, showing, shorten_training) -> ad.AnnData:
    """Domains by expression and the image, and what hangs on the graph."""
    adata = made_tissue[1][:150].copy()
    mt.pp.embed_expression(adata, n_comps=10)
    mt.pp.normalize_histology(adata)
    mt.pp.embed_histology(adata)
    showing(adata)
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        mt.tl.multist_domains(adata, 3, config=mt.tl.MultiSTConfig(epochs=8))
    assert adata.uns["multist"]["params"]["with_image"]
    mt.tl.pseudotime(adata, root=adata.obs_names[0], n_neighbors=8, spatial_weight=0.0, on_disconnected="separate")
    mt.tl.border_sharpness(adata, n_null=38)
    return adata


@pytest.fixture
def fused(made_fused) -> ad.AnnData:
    return made_fused.copy()


EMBEDDED = {"X_multist", "multist_domain", "multist_image_weight", "multist_attention", "multist_pseudotime"}


def fields(table: ad.AnnData) -> set[str]:
    return {*table.obs, *table.obsm, *table.obsp} | {f"uns {name}" for name in table.uns["multist"]}


ANEW = {
    "components": (lambda t: mt.pp.embed_expression(t, n_comps=8), "embed_expression", "obsm['X_pca']"),
    "image": (lambda t: mt.pp.embed_histology(t, patch_size=1.5), "embed_histology", "obsm['X_histology']"),
    "graph": (lambda t: mt.pp.spatial_graph(t, delaunay=True), "spatial_graph", "obsp['spatial_connectivities']"),
}


@pytest.mark.parametrize("name", ANEW)
def test_what_an_embedding_was_made_from_made_anew_removes_it_and_all_that_follows(fused, name):
    assert {*EMBEDDED, "uns border_sharpness"} <= fields(fused)
    call, function, source = ANEW[name]
    call(fused)
    assert not {*EMBEDDED, "uns border_sharpness", "uns image_gain"} & fields(fused)
    assert {"X_pca", "X_histology", "domain", "spatial_connectivities"} <= fields(fused)
    said = "\n".join(fused.uns["multist"]["decisions"][function])
    assert f"obsm['X_multist'] is removed: it was made from {source}, which is new; run tl.multist_domains" in said
    assert "obs['multist_domain'] is removed: it was made from" in said


def test_the_same_components_features_and_graph_once_more_remove_nothing(made_tissue, quick):
    adata = made_tissue[1][:150].copy()
    again = [lambda t: mt.pp.embed_expression(t, n_comps=10), mt.pp.embed_histology, mt.pp.spatial_graph]
    for call in again:
        call(adata)
    mt.tl.multist_domains(adata, 3, config=quick)
    before = fields(adata)
    for call in again:
        call(adata)
    assert fields(adata) == before


def test_what_had_no_part_in_an_embedding_leaves_it(full):
    mt.pp.embed_expression(full, n_comps=8, key_added="X_other")
    mt.pp.spatial_graph(full, delaunay=True, key_added="other")
    assert {"X_multist", "multist_domain"} <= fields(full) and set(HANGING) <= set(full.uns["multist"])


def test_an_image_in_another_stain_removes_the_features_that_were_read_from_it(fused):
    mt.pp.normalize_histology(fused, "reinhard")
    assert not {"X_histology", "uns histology", *EMBEDDED} & fields(fused)
    said = "\n".join(fused.uns["multist"]["decisions"]["normalize_histology"])
    assert "obsm['X_histology'] is removed: it was made from images['hires_normalized'], which is new" in said
    assert "obsm['X_multist'] is removed: it was made from obsm['X_histology'], which is gone" in said
    mt.pp.embed_histology(fused, image_key="hires")
    mt.pp.normalize_histology(fused)
    assert "X_histology" in fused.obsm, "of the image as it was taken"


@pytest.fixture
def outlined(tissue):
    """A SpatialData with outlines of two columns."""
    obs = tissue.tables["table"].obs
    obs["fine"] = obs["domain"].astype(str)
    obs["coarse"] = np.where(obs["depth"] < 0.5, "in", "out")
    mt.tl.domain_shapes(tissue, "fine")
    mt.tl.domain_shapes(tissue, "coarse", shapes_key="halves")
    return tissue


def rename(data, column: str, tmp_path) -> None:
    """Give the first spot another domain, as somebody's list has it."""
    path, table = tmp_path / "names.csv", data if isinstance(data, ad.AnnData) else data.tables["table"]
    pd.Series("elsewhere", index=table.obs_names[:1], name=column).to_csv(path, index_label="Barcode")
    mt.pp.read_labels(data, path, key_added=column)


def test_outlines_of_domains_go_with_them_and_others_stay(outlined, tmp_path):
    rename(outlined, "fine", tmp_path)
    uns = outlined.tables["table"].uns["multist"]
    assert set(outlined.shapes) == {"spots", "halves"} and set(uns["domain_shapes"]) == {"halves"}
    said = uns["decisions"]["read_labels"].tolist()
    assert "shapes['fine'] is removed: it was made from obs['fine'], which is new; run tl.domain_shapes again" in said
    mt.tl.domain_shapes(outlined, "fine")
    assert set(outlined.shapes) == {"spots", "halves", "fine"}


def test_a_copy_with_new_domains_leaves_the_outlines_of_the_original(outlined):
    table = outlined.tables["table"]
    table.obsm["X_multist"], table.obs["multist_domain"] = np.c_[table.obs["depth"]], table.obs["fine"]
    mt.tl.domain_shapes(outlined)
    copy = mt.tl.cluster_domains(outlined, 2, copy=True)
    assert "multist_domain" in outlined.shapes and set(copy.shapes) == {"spots", "fine", "halves"}


def test_shapes_that_somebody_drew_under_the_name_of_outlines_stay(outlined, tmp_path):
    drawn = outlined.shapes["fine"][["name", "geometry"]]
    del outlined.shapes["fine"]
    outlined.shapes["fine"] = sd.models.ShapesModel.parse(drawn)
    rename(outlined, "fine", tmp_path)
    assert "fine" in outlined.shapes


def test_outlines_are_called_out_of_date_where_only_the_table_is_given(outlined, tmp_path):
    table = outlined.tables["table"]
    rename(table, "fine", tmp_path)
    assert any("shapes['fine'] is out of date" in line for line in table.uns["multist"]["decisions"]["read_labels"])


def test_outlines_that_are_refused_leave_the_old_ones(outlined):
    table, before = outlined.tables["table"], outlined.shapes["fine"]
    told = table.uns["multist"]["domain_shapes"]
    with pytest.raises(ValueError, match="is the name of another element"):
        mt.tl.domain_shapes(outlined, "fine", shapes_key="he")
    assert outlined.shapes["fine"] is before and table.uns["multist"]["domain_shapes"] is told


def test_names_drawn_anew_remove_what_was_made_from_them(full, tmp_path):
    path = tmp_path / "names.csv"
    pd.Series("elsewhere", index=full.obs_names[:1], name="mine").to_csv(path, index_label="Barcode")
    mt.pp.read_labels(full, path, key_added="mine")
    assert "other" not in full.uns, "nothing is left of it"
    assert set(HANGING) <= set(full.uns["multist"])


def test_domains_know_their_embedding_after_the_same_one_is_made_once_more(made_tissue, quick):
    adata = made_tissue[1][:150].copy()
    del adata.uns["spatial"]
    for model in (mt.MultiST(quick), mt.MultiST(quick)):
        model.fit(adata)
        if "multist_domain" not in adata.obs:
            model.cluster(adata, 4)
    assert adata.uns["multist"]["params"]["n_domains"] == 4, "the embedding is the same, and so are its domains"
    mt.MultiST(quick, random_state=5).fit(adata)
    assert "multist_domain" not in adata.obs and "n_domains" not in adata.uns["multist"]["params"]


def test_histology_of_another_name_has_parameters_of_its_own(made_tissue):
    adata = made_tissue[1][:50].copy()
    mt.pp.embed_histology(adata)
    mt.pp.embed_histology(adata, patch_size=3.0, key_added="X_wide")
    told = adata.uns["multist"]["histology"], adata.uns["X_wide"]["histology"]
    assert [float(each["patch_size"]) for each in told] == [2.0, 3.0]


DRAW = {
    "borders": lambda adata: mt.pl.borders(adata, image_key=None, show=False),
    "modality_weights": lambda adata: mt.pl.modality_weights(adata, image_key=None, show=False),
    "pseudotime": lambda adata: mt.pl.pseudotime(adata, image_key=None, genes=[], show=False),
    "ligrec_result": mt.tl.ligrec_result,
    "ligrec_result of ligrec": lambda adata: mt.tl.ligrec_result(adata, of="ligrec"),
}


@pytest.mark.parametrize("name", DRAW)
def test_domains_that_somebody_changed_are_refused_by_name(full, name):
    full.obs["multist_image_weight"] = 0.5
    DRAW[name](full)
    full.obs["multist_domain"] = np.roll(full.obs["multist_domain"].astype(str).to_numpy(), 1)
    with pytest.raises(ValueError, match=r"made from other domains than obs\['multist_domain'\] holds now; run tl\."):
        DRAW[name](full)


@pytest.mark.parametrize("name", ["borders", "ligrec_result"])
def test_domains_that_somebody_renamed_are_refused_where_the_result_names_them(full, name):
    full.obs["multist_domain"] = full.obs["multist_domain"].cat.rename_categories({"0": "cortex"})
    with pytest.raises(ValueError, match=r"names '0', which obs\['multist_domain'\] does not hold any more"):
        DRAW[name](full)
    DRAW["pseudotime"](full)


def test_domains_that_are_gone_are_named(full):
    del full.obs["multist_domain"]
    with pytest.raises(KeyError, match="multist_domain"):
        mt.tl.ligrec_result(full)


def test_a_result_is_still_known_after_a_file(full, tmp_path):
    full.write_h5ad(tmp_path / "a.h5ad")
    read = ad.read_h5ad(tmp_path / "a.h5ad")
    DRAW["ligrec_result"](read)
    read.obs["multist_domain"] = read.obs["multist_domain"].to_numpy()[::-1]
    with pytest.raises(ValueError, match="other domains"):
        DRAW["ligrec_result"](read)


def test_a_part_of_the_table_is_drawn_as_before(full):
    mt.tl.ligrec_result(full[:100])
