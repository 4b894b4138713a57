"""What a model cannot apply to is refused with a reason, and left as it was."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
import scanpy as sc

import multist as mt


def no_image(table):
    del table.uns["spatial"]


def log_normalised(table):
    sc.pp.normalize_total(table)
    sc.pp.log1p(table)


def few_genes(table):
    table.var_names = [f"other{i}" if i > 100 else name for i, name in enumerate(table.var_names)]


def normalised_counts(table):
    table.X = table.X / 3


def other_patches(table):
    mt.pp.normalize_histology(table)
    mt.pp.embed_histology(table, patch_size=3)


def own_stain(table):
    mt.pp.embed_histology(table)


def foreign_histology(table):
    table.obsm["X_histology"] = np.ones((table.n_obs, 47))


def no_coordinates(table):
    del table.obsm["spatial"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (no_image, KeyError, r"no image.* or fit another model without images \(use_image=False\), as this one was"),
        (log_normalised, ValueError, r"pass layer= with counts \(layers: none\), as the sections on .* hold counts"),
        (few_genes, ValueError, r"101 of the reference's 400 genes are in var_names.*names of the same kind"),
        (normalised_counts, ValueError, "holds decimals that are neither counts nor log-normalised.*pass layer="),
        (other_patches, ValueError, "another patch_size than that of the fitted sections"),
        (own_stain, ValueError, "own stain.*normalised; delete it"),
        (foreign_histology, ValueError, "another encoder, patch_size, patch_unit"),
        (no_coordinates, (KeyError, ValueError), "spatial"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_section_that_does_not_fit(spoil, error, message, fitted, sections, unchanged):
    new = sections[1]
    spoil(new)
    with unchanged(new), pytest.raises(error, match=message):
        fitted[0].embed(new)


@pytest.mark.slow
def test_a_section_that_does_not_fit_is_not_divided_either(fitted, sections, unchanged):
    no_image(sections[1])
    with unchanged(sections[1]), pytest.raises(KeyError, match="no image.*fit another model without images"):
        fitted[0].domains(sections[1])


@pytest.mark.slow
def test_some_genes_may_be_missing_and_the_log_says_so(fitted, recognised, sections, caplog):
    fewer = sections[1][:, ::-1][:, :380].copy()
    with caplog.at_level(logging.INFO, "multist"):
        fitted[0].domains(fewer)
    assert "20 of 400 genes of the reference are missing" in caplog.text
    found = [table.obs["multist_domain"].to_numpy(dtype=str) for table in (recognised, fewer)]
    assert (found[0] == found[1]).mean() > 0.9


def test_an_embedding_by_name_has_to_be_there_and_as_wide(sections, quick, unchanged):
    first, new = sections
    rng = np.random.default_rng(0)
    first.obsm["mine"] = rng.normal(size=(first.n_obs, 6))
    model = mt.MultiST(quick).fit(first, use_rep="mine", use_image=False)
    with unchanged(new), pytest.raises(KeyError, match="use_rep 'mine' not found in obsm; found: 'spatial'"):
        model.embed(new)
    new.obsm["mine"] = rng.normal(size=(new.n_obs, 5))
    with unchanged(new), pytest.raises(ValueError, match="fitted on 6 expression features; there are 5"):
        model.embed(new)
    new.obsm["mine"] = rng.normal(size=(new.n_obs, 6))
    model.embed(new)
    assert new.uns["multist"]["params"]["expression_key"] == "mine"


def alone(table, n=20):
    """Components of a table by itself, with nothing that would project others on them."""
    mt.pp.embed_expression(table, n_comps=n)
    del table.uns["pca"]
    return table


@pytest.mark.slow
def test_components_that_each_section_has_of_its_own(sections, quick, unchanged, caplog, tmp_path):
    first, new = (alone(table) for table in sections)
    model = mt.MultiST(quick).fit(first, use_image=False)
    model.save(tmp_path / "model")
    for held in (model, mt.MultiST.load(tmp_path / "model")):
        with (
            unchanged(new),
            pytest.raises(ValueError, match=r"obsm\['X_pca'\] of section2 holds principal .*reference=f"),
        ):
            held.embed(new)
    model.embed(first)  # its own
    part = new[:250].copy()
    part.obsm["X_pca"] = first.obsm["X_pca"][:250]
    model.embed(part)  # on the fitted axes
    assert "principal components that were made there" not in caplog.text


def test_components_of_new_sections_together(sections, quick, unchanged):
    first, new = sections
    both = alone(ad.concat([first, new], label="part", index_unique="-"))
    model = mt.MultiST(quick).fit(alone(first), use_image=False)
    with unchanged(both), pytest.raises(ValueError, match="made there, without the fitted"):
        model.embed(both, library_key="part")


@pytest.mark.slow
def test_components_of_its_own_for_a_model_that_has_others(sections, quick, caplog):
    first, new = sections
    both = alone(ad.concat([first, new], label="part", index_unique="-"))
    first.obsm["X_pca"] = both.obsm["X_pca"][: first.n_obs]
    model = mt.MultiST(quick).fit(first, use_image=False)
    for fits, rows in ((True, both.obsm["X_pca"][first.n_obs :]), (False, alone(new).obsm["X_pca"])):
        caplog.clear()
        new.obsm["X_pca"] = rows
        model.embed(new)
        assert ("unless the fitted ones were projected on these axes" in caplog.text) != fits


@pytest.mark.slow
def test_another_encoders_histology_has_to_be_made_first(sections, quick, unchanged, showing):
    first, new = sections
    mt.pp.embed_histology(first, lambda patches: patches.mean(axis=(2, 3)))
    showing(first)  # so that the image takes part
    model = mt.MultiST(quick).fit(first)
    with unchanged(new), pytest.raises(ValueError, match="which is not kept: run pp.embed_histology with it first"):
        model.embed(new)


@pytest.mark.parametrize("call", ["embed", "domains", "save"])
def test_a_model_that_is_not_fitted(call, sections, tmp_path, unchanged):
    given = tmp_path / "m" if call == "save" else sections[0]
    with unchanged(sections[0]), pytest.raises(RuntimeError, match=r"not fitted: call .fit\(data\) first"):
        getattr(mt.MultiST(), call)(given)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_embedding_of_another_model(embedded_table, quick, unchanged):
    model = mt.MultiST(quick).fit(embedded_table)
    mt.MultiST(quick, random_state=1).fit(embedded_table)
    with unchanged(embedded_table), pytest.raises(ValueError, match=r"obsm\['X_multist'\] is not of this model"):
        model.domains(embedded_table, 3)
    with pytest.raises(ValueError, match=r"obsm\['X_other'\] is not of this model"):
        model.domains(embedded_table, 3, key_added="other")


@pytest.mark.slow
def test_a_fit_that_fails_leaves_the_model_as_it_was(embedded_table, quick):
    model = mt.MultiST(quick).fit(embedded_table)
    model.domains(embedded_table, 3)
    before, told = embedded_table.obsm["X_multist"].copy(), repr(model)
    with pytest.raises(KeyError, match="use_rep 'mine' not found"):
        model.fit(embedded_table, use_rep="mine")
    with pytest.raises(ValueError, match="the published method needs a number of domains"):
        mt.MultiST(mt.tl.MultiSTConfig.published()).fit(embedded_table)
    assert repr(model) == told
    model.embed(embedded_table)
    np.testing.assert_allclose(embedded_table.obsm["X_multist"], before, atol=1e-4)
