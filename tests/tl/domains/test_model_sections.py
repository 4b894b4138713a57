"""Several objects in a list are one tissue: one embedding and one set of domains, written into each, or into none."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist.access import get_table, run

pytestmark = pytest.mark.slow  # the first to run makes what all of them read


@pytest.fixture(scope="module")
def prepared(made_together):
    """Both sections in one table with every stage done."""
    both = made_together.copy()
    mt.pp.embed_expression(both, library_key="section")
    mt.pp.spatial_graph(both, library_key="section")
    mt.pp.normalize_histology(both, library_key="section")
    mt.pp.embed_histology(both, library_key="section")
    return both


def joined(tables, key):
    return np.concatenate([table.obs[key].to_numpy(dtype=str) for table in tables])


def test_a_list_is_what_one_table_with_a_library_key_is(prepared, apart, showing, quick):
    both = prepared.copy()
    showing(both)
    tables = apart(both)
    assert [*tables[0].obs_names, *tables[1].obs_names] == both.obs_names.tolist()
    mt.tl.multist_domains(both, 5, library_key="section", config=quick)
    assert mt.tl.multist_domains(list(tables), 5, config=quick) is None
    code = np.concatenate([table.obsm["X_multist"] for table in tables])
    np.testing.assert_allclose(code, both.obsm["X_multist"], atol=1e-4)
    np.testing.assert_array_equal(joined(tables, "multist_domain"), both.obs["multist_domain"].to_numpy(dtype=str))
    whole = both.obsp["multist_attention"].toarray()
    assert not whole[:300, 300:].any() and not whole[300:, :300].any()
    np.testing.assert_allclose(tables[1].obsp["multist_attention"].toarray(), whole[300:, 300:], atol=1e-4)
    again = mt.tl.cluster_domains(list(tables), 5, copy=True)
    np.testing.assert_array_equal(joined(again, "multist_domain"), joined(tables, "multist_domain"))


def test_raw_sections_get_one_space_one_stain_and_one_set_of_domains(sections):
    model = mt.MultiST(device="cpu").fit(list(sections))
    assert model.domains(sections, 7) is None
    truth, found = joined(sections, "domain"), joined(sections, "multist_domain")
    assert adjusted_rand_score(truth, found) > 0.4
    names = [f"section{number}" for number in (1, 2)]
    for table, name in zip(sections, names, strict=True):
        assert table.obs["multist_domain"].cat.categories.tolist() == [str(k) for k in range(7)]
        assert table.uns["multist"]["histology"]["image_key"].tolist() == ["hires_normalized"]
        assert "hires_normalized" in table.uns["spatial"][name]["images"]
        assert table.uns["multist"]["params"]["shape"] == [300, 400]
        assert "X_pca" not in table.obsm  # its axes are those of both
    stains = [table.uns["multist"]["stain_reference"] for table in sections]
    np.testing.assert_array_equal(stains[0]["mean"], stains[1]["mean"])
    assert "600 spots of 2 sections (0:section1, 1:section2)" in repr(model)
    model.domains(sections[1])  # already of this model: nothing is embedded again
    assert "fitted_on" not in sections[1].uns["multist"]["params"]


def test_raw_slides_become_the_same_in_a_list_and_in_one_table(made_together, apart, untrained):
    both = made_together.copy()
    mt.pp.embed_expression(both, library_key="section")
    tables = apart(both)
    mt.MultiST(untrained).fit(tables, use_image=True)
    mt.MultiST(untrained).fit(both, library_key="section", use_image=True)
    histology = np.concatenate([table.obsm["X_histology"] for table in tables])
    np.testing.assert_array_equal(histology, both.obsm["X_histology"])
    reference, listed = (each.uns["multist"]["stain_reference"] for each in (both, tables[0]))
    np.testing.assert_array_equal(reference["mean"], listed["mean"])
    assert set(reference["patch_section"]) == {"section1"}


def test_slides_go_to_the_stain_of_the_one_that_is_normalised(sections, untrained):
    mt.pp.normalize_histology(sections[1], "reinhard")
    mt.MultiST(untrained).fit(sections, use_image=True)
    for table in sections:
        assert table.uns["multist"]["histology"]["image_key"].tolist() == ["hires_normalized"]
    stains = [table.uns["multist"]["stain_reference"] for table in sections]
    np.testing.assert_array_equal(stains[0]["mu"], stains[1]["mu"])
    assert [stain["method"] for stain in stains] == ["reinhard"] * 2


def test_slides_that_were_normalised_to_an_unknown_stain(sections, quick, unchanged):
    mt.pp.normalize_histology(sections[1])
    del sections[1].uns["multist"]
    with (
        unchanged(sections[0]),
        unchanged(sections[1]),
        pytest.raises(ValueError, match="number 1 .*holds no 'stain_r"),
    ):
        mt.MultiST(quick).fit(sections, use_image=True)


def test_histology_that_only_some_have_is_refused(sections, untrained, unchanged):
    mt.pp.embed_histology(sections[0])
    with unchanged(sections[0]), unchanged(sections[1]), pytest.raises(ValueError, match="and not in number 1, whose"):
        mt.MultiST(untrained).fit(sections, use_image=True)
    mt.MultiST(untrained).fit(sections, use_image=False)
    del sections[0].obsm["X_histology"]
    mt.MultiST(untrained).fit(sections, use_image=True)


def test_components_of_each_object_alone_are_not_taken_for_one_space(sections, quick, caplog):
    others = [table.copy() for table in sections]
    for table in sections:
        mt.pp.embed_expression(table, n_comps=20)
    before = [table.obsm["X_pca"] for table in sections]
    with caplog.at_level("INFO", "multist"):
        mt.MultiST(quick).fit(sections, use_image=False)
    assert "running pp.embed_expression" in caplog.text
    mt.MultiST(quick).fit(others, use_image=False)
    for table, other, own in zip(sections, others, before, strict=True):
        assert table.obsm["X_pca"] is own
        np.testing.assert_array_equal(table.obsm["X_multist"], other.obsm["X_multist"])


def test_components_on_the_same_axes_are_taken(sections, quick, caplog):
    first, second = sections
    mt.pp.embed_expression(first)
    mt.pp.embed_expression(second, reference=first)
    with caplog.at_level("INFO", "multist"):
        mt.MultiST(quick).fit([first, second], use_image=False)
    assert "using the expression embedding in obsm['X_pca']" in caplog.text
    assert "running pp.embed_expression" not in caplog.text


def test_objects_may_be_of_either_kind(sections, second_section, quick):
    given = [sections[0], second_section]
    found = mt.tl.multist_domains(given, 5, config=quick, copy=True)
    assert [type(each) for each in found] == [type(each) for each in given]
    assert "multist_domain" not in sections[0].obs and "multist_domain" not in get_table(second_section).obs
    tables = [get_table(each) for each in found]
    assert set(joined(tables, "multist_domain")) == set("01234")


def two_genes_kinds(tables):
    tables[1].var_names = [f"other{i}" for i in range(tables[1].n_vars)]
    return tables


def repeated_names(tables):
    tables[1].var_names = ["g", "g", *tables[1].var_names[2:]]
    return tables


def no_place(tables):
    del tables[1].obsm["spatial"]
    return tables


def other_width(tables):
    rng = np.random.default_rng(0)
    for table, width in zip(tables, (4, 5), strict=True):
        table.obsm["mine"] = rng.normal(size=(table.n_obs, width))
    return tables


@pytest.mark.parametrize(
    ("spoil", "options", "error", "message"),
    [
        (two_genes_kinds, {}, ValueError, "no gene in common"),
        (repeated_names, {}, ValueError, "'g' names several genes.*pp.sum_genes"),
        (no_place, {}, (KeyError, ValueError), "spatial"),
        (other_width, {"use_rep": "mine"}, ValueError, r"'mine'\] has \[4, 5\] columns in the objects"),
        (lambda tables: tables, {"use_rep": "mine"}, KeyError, "use_rep 'mine' not found"),
    ],
    ids=["genes", "names", "place", "width", "missing"],
)
@pytest.mark.filterwarnings("ignore:Variable names")
def test_if_one_does_not_fit_none_is_changed(spoil, options, error, message, sections, quick, unchanged):
    given = spoil(list(sections))
    with unchanged(sections[0]), unchanged(sections[1]), pytest.raises(error, match=message):
        mt.tl.multist_domains(given, 5, config=quick, **options)


def test_a_table_that_cannot_be_written_leaves_those_before_it_unchanged(sections, unchanged, monkeypatch):
    from multist.access.draft import Draft

    write = Draft.write_to

    def fail_at_the_second(draft, table):
        write(draft, table)
        if table is sections[1]:
            raise ValueError("the second is at fault")

    monkeypatch.setattr(Draft, "write_to", fail_at_the_second)
    with unchanged(sections[0]), unchanged(sections[1]), pytest.raises(ValueError, match="second"):
        with run(list(sections), "test", image=False) as work:
            for part in work.parts:
                part.write(obs={"new": np.ones(300)}, obsm={"X_new": np.zeros((300, 2))}, uns={"new": {"a": 1}})


def test_views_of_one_table_are_sections_too(prepared, quick):
    views = [prepared[prepared.obs["section"] == name] for name in ("section1", "section2")]
    mt.tl.multist_domains(views, 5, config=quick, use_image=False)
    assert all("multist_domain" in view.obs for view in views) and "multist_domain" not in prepared.obs
    assert isinstance(views[0], ad.AnnData)


def test_aligned_sections_look_at_each_other(prepared, showing, quick):
    both = prepared.copy()
    showing(both)
    both.obsm["aligned"] = np.tile(both.obsm["spatial"][:300], (2, 1))
    mt.pp.spatial_graph(both, library_key="section", aligned_key="aligned")
    mt.tl.multist_domains(both, 5, library_key="section", config=quick)
    attention = both.obsp["multist_attention"]
    np.testing.assert_allclose(np.asarray(attention.sum(axis=1)).ravel(), 1, atol=1e-5)
    assert (attention[:300, 300:].diagonal() > 0).all()  # each spot at the one that lies on it
    del both.uns["spatial_neighbors"]  # nobody says that these edges are meant
    with pytest.raises(ValueError, match="aligned_key, if they are to touch in z"):
        mt.tl.multist_domains(both, 5, library_key="section", config=quick)
