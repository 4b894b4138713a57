"""The model as an object: what it was fitted on comes out as from the function, and new sections in the same terms."""

from __future__ import annotations

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist.access import get_table

pytestmark = pytest.mark.slow  # the first to run makes what all of them read


def labels(table: ad.AnnData, key: str = "multist_domain") -> np.ndarray:
    return table.obs[key].to_numpy(dtype=str)


def ari(table: ad.AnnData) -> float:
    return adjusted_rand_score(labels(table, "domain"), labels(table))


def assert_same_result(one: ad.AnnData, other: ad.AnnData) -> None:
    np.testing.assert_array_equal(one.obsm["X_multist"], other.obsm["X_multist"])
    for column in ("domain", "image_weight", "confidence"):
        pd.testing.assert_series_equal(one.obs[f"multist_{column}"], other.obs[f"multist_{column}"])
    assert (one.obsp["multist_attention"] != other.obsp["multist_attention"]).nnz == 0


def forget_pairs(table: ad.AnnData) -> None:
    """Take away what the made tissue tells of itself; no model wrote it, and zarr takes long for each field."""
    del table.uns["interactions"], table.uns["decoy_interactions"]


def test_fit_and_domains_are_what_the_function_does(telling_table, quick):
    embedded_table = telling_table
    by_function = embedded_table.copy()
    mt.tl.multist_domains(by_function, 5, config=quick, random_state=3)
    model = mt.MultiST(quick, random_state=3)
    assert model.fit(embedded_table) is model
    assert "multist_domain" not in embedded_table.obs
    assert model.domains(embedded_table, 5) is None
    assert_same_result(embedded_table, by_function)
    assert embedded_table.uns["multist"]["params"] == by_function.uns["multist"]["params"]


def test_the_fitted_section_is_embedded_where_it_was(fitted, sections):
    model, table = fitted
    again = sections[0]
    mt.pp.normalize_histology(again)
    model.embed(again)
    np.testing.assert_allclose(again.obsm["X_multist"], table.obsm["X_multist"], atol=1e-4)
    np.testing.assert_allclose(again.obs["multist_image_weight"], table.obs["multist_image_weight"], atol=1e-4)
    model.domains(again)
    assert (labels(again) == labels(table)).mean() > 0.97


def test_the_domains_of_a_section_never_seen_are_recognised_by_name(fitted, recognised):
    table, new = fitted[1], recognised
    assert "bringing the image to the stain of the fitted sections" in new.uns["multist"]["decisions"]["embed"]
    assert ari(new) > 0.65
    names = pd.crosstab(labels(table), labels(table, "domain")).idxmax(axis=1)
    assert (names[labels(new)].to_numpy() == labels(new, "domain")).mean() > 0.8
    assert new.obs["multist_domain"].cat.categories.tolist() == [str(k) for k in range(7)]
    assert list(new.uns["multist_domain_colors"]) == list(table.uns["multist_domain_colors"])
    assert new.obs["multist_confidence"].between(1 / 7, 1).all()
    params = new.uns["multist"]["params"]
    assert params["fitted_on"] == ["section1"] and params["n_domains"] == 7
    assert params["model"] == table.uns["multist"]["params"]["model"]


def test_a_section_without_some_of_the_domains(fitted, sections):
    new = sections[1][~sections[1].obs["domain"].isin(["lesion", "band"])].copy()
    fitted[0].domains(new)
    assert new.obs["multist_domain"].nunique() < 7 == len(new.obs["multist_domain"].cat.categories)
    assert ari(new) > 0.6


def test_the_stain_and_the_encoder_are_those_of_the_fitted_section(sections, quick):
    first, new = sections
    mt.pp.normalize_histology(first)
    mt.pp.embed_histology(first, patch_size=2.5)
    by_hand = new.copy()
    mt.MultiST(quick).fit(first).embed(new)
    mt.pp.normalize_histology(by_hand, reference=first)
    mt.pp.embed_histology(by_hand, patch_size=2.5)
    images = [table.uns["spatial"]["section2"]["images"]["hires_normalized"] for table in (new, by_hand)]
    np.testing.assert_array_equal(*images)
    np.testing.assert_array_equal(new.obsm["X_histology"], by_hand.obsm["X_histology"])
    assert new.uns["multist"]["histology"]["patch_size"] == 2.5


def test_the_stain_is_brought_to_a_named_image_too(fitted, recognised, sections):
    named = sections[1]
    named.uns["spatial"]["section2"]["images"]["other"] = named.uns["spatial"]["section2"]["images"]["hires"] // 2
    fitted[0].embed(named, image_key="hires")
    np.testing.assert_array_equal(named.obsm["X_histology"], recognised.obsm["X_histology"])


def test_without_a_reference_the_image_is_taken_as_it_is(sections, quick):
    model = mt.MultiST(quick).fit(sections[0])
    model.embed(sections[1])
    assert "X_histology" in sections[1].obsm
    assert not any(key.endswith("_normalized") for key in sections[1].uns["spatial"]["section2"]["images"])
    assert "stain_reference" not in sections[1].uns["multist"]


def test_a_model_without_an_image_looks_at_none(sections, quick):
    model = mt.MultiST(quick).fit(sections[0], use_image=False)
    model.embed(sections[1])
    assert "X_histology" not in sections[1].obsm and "multist_attention" not in sections[1].obsp
    assert (sections[1].obs["multist_image_weight"] == 0).all()


def test_attention_is_a_share_for_each_edge(recognised):
    new = recognised
    near = sparse.csr_matrix(new.obsp["spatial_connectivities"])
    within = (near + near @ near).toarray() > 0
    np.fill_diagonal(within, False)
    np.testing.assert_allclose(new.obsp["multist_attention"].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(new.obsp["multist_attention"].toarray() > 0, within)


def test_nothing_of_the_image_stays_after_a_fit_without_it(telling_table, quick):
    embedded_table = telling_table
    mt.MultiST(quick).fit(embedded_table)
    assert "multist_attention" in embedded_table.obsp and embedded_table.uns["multist"]["image_gain"] > 0
    embedded_table.uns["multist"]["stain_reference"] = np.arange(3)
    mt.MultiST(quick).fit(embedded_table, use_image=False)
    assert "multist_attention" not in embedded_table.obsp
    assert embedded_table.uns["multist"]["image_gain"] == 0
    assert embedded_table.uns["multist"]["stain_reference"].tolist() == [0, 1, 2]


def test_other_numbers_of_domains_replace_what_is_known(embedded_table, untrained):
    model = mt.MultiST(untrained).fit(embedded_table)
    model.domains(embedded_table, 3)
    model.domains(embedded_table, 5)
    other = embedded_table.copy()
    model.domains(other)
    assert len(other.obs["multist_domain"].cat.categories) == 5
    model.fit(embedded_table)
    with pytest.raises(RuntimeError, match=r"knows no domains.* call .cluster\(data, n_domains\) on the fitted"):
        model.domains(other)


def test_results_lie_beside_each_other(fitted, recognised):
    both = recognised.copy()
    assert fitted[0].domains(both, key_added="refined", refine=True) is None
    assert_same_result(both, recognised)
    assert 0 < (labels(both, "refined_domain") != labels(both)).mean() < 0.3


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_what_is_written_survives_a_file(form, fitted, recognised, tmp_path):
    model, new = fitted[0], recognised.copy()
    forget_pairs(new)
    getattr(new, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    assert list(back.uns["multist"]["params"]["fitted_on"]) == ["section1"]
    assert (back.obsp["multist_attention"] != new.obsp["multist_attention"]).nnz == 0
    model.domains(back)  # knows its own embedding, and does not make it again
    pd.testing.assert_series_equal(back.obs["multist_domain"], new.obs["multist_domain"])
    assert back.uns["multist"]["params"]["model"] == new.uns["multist"]["params"]["model"]


def test_a_copy_of_a_spatialdata_takes_all_and_is_written(fitted, second_section, unchanged, tmp_path):
    import spatialdata as sd

    with unchanged(second_section):
        found = fitted[0].embed(second_section, copy=True)
        named = fitted[0].domains(second_section, copy=True)
    assert type(found) is type(named) is sd.SpatialData
    assert "multist_domain" not in get_table(found).obs and ari(get_table(named)) > 0.65
    forget_pairs(get_table(named))
    named.write(tmp_path / "new.zarr")
    back = sd.read_zarr(tmp_path / "new.zarr")
    assert "he_section2_normalized" in back.images
    np.testing.assert_array_equal(labels(get_table(back)), labels(get_table(named)))


def test_in_steps_it_is_what_domains_does(telling_table, quick):
    steps, short = telling_table, telling_table.copy()
    model, other = (mt.MultiST(quick, device="cpu").fit(each) for each in (steps, short))
    model.cluster(steps, 4)
    other.domains(short, 4)
    assert_same_result(steps, short)
    model.predict(steps)
    other.domains(short)
    assert_same_result(steps, short)


def test_a_clone_has_the_parameters_only(fitted, quick):
    model = mt.MultiST(quick, device="cpu", random_state=4)
    model._fitted = fitted[0]._fitted
    fresh = clone(model)
    assert repr(fresh) == "MultiST(not fitted; device='cpu', random_state=4)" and fresh.config == quick
    assert clone(mt.MultiST()).config == mt.tl.MultiSTConfig()


def test_a_pickled_model_is_the_same(fitted, recognised, sections):
    back = pickle.loads(pickle.dumps(fitted[0]))
    back.predict(sections[1])
    assert_same_result(sections[1], recognised)
    assert repr(back) == repr(fitted[0])


def test_a_notebook_shows_parameters_and_what_it_knows(fitted):
    shown = fitted[0]._repr_html_()
    for part in ("random_state", "device", "300 spots of 1 section", "7 domains"):
        assert part in shown
    assert (
        "nothing yet" in mt.MultiST(device="<b>")._repr_html_()
        and "&lt;b&gt;" in mt.MultiST(device="<b>")._repr_html_()
    )


def test_repr_says_what_it_knows(telling_table, quick):
    embedded_table = telling_table
    model = mt.MultiST(quick, device="cpu", random_state=4)
    assert repr(model) == "MultiST(not fitted; device='cpu', random_state=4)"
    model.fit(embedded_table)
    told = repr(model)
    for part in ("250 spots of 1 section", "section1", "50 components of X_pca", "12 histology features", "no domains"):
        assert part in told
    assert f"{embedded_table.obsm['X_multist'].shape[1]} dimensions" in told
    model.domains(embedded_table, 3)
    assert "3 domains" in repr(model)
    assert "histology" not in repr(model.fit(embedded_table, use_image=False))
