"""Values that mean "not named" are no domains: missing values as text by themselves, others with a warning."""

from __future__ import annotations

import logging

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import multist as mt

pytestmark = pytest.mark.slow  # the first to run makes what all of them read


def stroked(unnamed: object, *, n_strokes: int = 6) -> ad.AnnData:
    """Two halves with strokes in each; everything else holds ``unnamed``."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:12, :12].reshape(2, -1)
    right = x >= 6
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"s{i}" for i in range(144)]), obsm={"spatial": np.c_[x, y] * 10.0})
    adata.obsm["X_multist"] = rng.normal(size=(144, 3)) + 3 * right[:, None]
    strokes = np.full(144, unnamed, dtype=object)
    for side in (False, True):
        strokes[np.flatnonzero(right == side)[:: 72 // n_strokes][:n_strokes]] = "right" if side else "left"
    adata.obs["annotation"] = strokes
    return adata


def divided(adata: ad.AnnData, **options: object) -> list[str]:
    mt.tl.cluster_domains(adata, labels_key="annotation", **options)
    return list(adata.obs["multist_domain"])


@pytest.mark.parametrize("unnamed", ["nan", " nan "])
def test_a_missing_value_as_text_is_missing(unnamed, caplog):
    adata, same = stroked(unnamed), stroked(None)
    with caplog.at_level(logging.WARNING):
        assert divided(adata) == divided(same)
    assert caplog.text == ""
    assert mt.tl.suggest_labels(adata, 3) == mt.tl.suggest_labels(same, 3)
    assert adata.obs["annotation"].iloc[1] == unnamed
    assert any("132 spots" in line for line in adata.uns["multist"]["decisions"]["cluster_domains"])
    assert divided(adata, unlabeled_category=unnamed) == divided(same)


def test_a_blank_is_no_name():
    assert divided(stroked(" ")) == divided(stroked(None))


def test_a_missing_value_as_text_is_not_drawn_as_a_stroke():
    adata = stroked("nan")
    divided(adata)
    figure = mt.pl.domains(adata, labels_key="annotation", return_fig=True)
    words = [text.get_text() for ax in figure.axes for text in ax.get_legend().get_texts()] if figure.axes else []
    plt.close(figure)
    assert words and not any("nan" in word for word in words)


def test_blanks_around_a_name_do_not_count(caplog):
    adata = stroked(None)
    plain = divided(adata)
    drawn = adata.obs["annotation"].astype(object)
    adata.obs["annotation"] = [f" {name} " if name and place < 72 else name for place, name in enumerate(drawn)]
    with caplog.at_level(logging.INFO):
        assert divided(adata) == plain
    assert "' left ', ' right ' without the blanks around" in caplog.text
    assert divided(adata, unlabeled_category="left ", n_domains=2) != plain
    figure = mt.pl.domains(adata, labels_key="annotation", return_fig=True, show=False)
    words = {text.get_text() for legend in figure.legends or [figure.axes[0].get_legend()] for text in legend.texts}
    plt.close(figure)
    assert words and not any(word != word.strip() or "  " in word for word in words)


def test_a_padded_name_for_what_is_not_named_leaves_spots_to_suggest():
    adata = stroked("unknown ")
    divided(adata, unlabeled_category="unknown ")
    assert len(mt.tl.suggest_labels(adata, 5)) == 5


def test_a_class_may_be_called_none():
    adata, same = stroked(None), stroked(None)
    adata.obs["annotation"] = adata.obs["annotation"].replace("left", "None")
    divided(adata)
    divided(same)
    assert mt.tl.suggest_labels(adata, 5) == mt.tl.suggest_labels(same, 5)


def test_a_number_can_stand_for_no_name():
    adata = stroked(0)
    adata.obs["annotation"] = [{"left": 1, "right": 2}.get(name, 0) for name in adata.obs["annotation"]]
    assert set(divided(adata, unlabeled_category=0)) == {"1", "2"}


def test_numbers_beside_missing_ones_keep_their_colours_and_may_mean_no_name():
    """pandas stores them with a fraction."""
    adata = stroked(-1.0)
    numbers = {"left": 1.0, "right": 2.0}
    adata.obs["annotation"] = pd.Categorical([numbers.get(name, -1.0) for name in adata.obs["annotation"]])
    adata.uns["annotation_colors"] = ["#111111", "#222222", "#333333"]
    assert set(divided(adata, unlabeled_category=-1.0)) == {"1", "2"}
    assert list(adata.uns["multist_domain_colors"]) == ["#222222", "#333333"]
    assert len(mt.tl.suggest_labels(adata, 5)) == 5
    plt.close(mt.pl.domains(adata, labels_key="annotation", show=False).figure)
    with pytest.raises(KeyError, match=r"unlabeled_category 7 is no value of .*; found: '-1', '1', '2'"):
        mt.pl.domains(adata, labels_key="annotation", unlabeled_category=7, show=False)
    plt.close("all")
    del adata.uns["annotation_colors"]
    plt.close(mt.pl.domains(adata, "annotation", show=False).figure)
    assert len(adata.uns["annotation_colors"]) == 3


def test_whole_numbers_for_names_of_observations_lose_no_domain():
    """Where what hung on earlier domains goes, anndata makes text of them."""
    adata = stroked(None)
    adata.obs.reset_index(drop=True, inplace=True)
    found = divided(adata)
    mt.tl.pseudotime(adata)
    assert len(set(divided(adata, n_domains=3))) == 3 and "multist_pseudotime" not in adata.obs
    assert adata.obs["multist_domain"].notna().all() and divided(adata) == found


def test_further_domains_that_stay_empty_are_told(caplog):
    adata = stroked(None)
    found = divided(adata, n_domains=100)
    empty = 100 - len(set(found))
    assert empty > 1 and f"{empty} further domains have no spot: what nobody named holds fewer" in caplog.text


def test_a_number_and_the_same_as_text_are_one_name():
    adata = stroked(None)
    plain = divided(adata)
    drawn = adata.obs["annotation"].astype(object)
    one_or_two = {"left": [1, "1"], "right": [2, "2"]}
    adata.obs["annotation"] = [one_or_two[name][place % 2] if name else None for place, name in enumerate(drawn)]
    assert divided(adata) == [{"left": "1", "right": "2"}[name] for name in plain]


def test_two_spellings_of_a_name_are_warned_of(caplog):
    adata = stroked(None)
    drawn = adata.obs["annotation"].astype(object)
    adata.obs["annotation"] = [name.upper() if name and place < 30 else name for place, name in enumerate(drawn)]
    with caplog.at_level(logging.WARNING):
        assert {"LEFT", "left"} <= set(divided(adata))
    assert "'LEFT', 'left' in obs['annotation'] are domains of their own" in caplog.text


def test_a_name_that_hardly_means_a_domain_is_warned_of(caplog):
    adata = stroked("Unknown")
    with caplog.at_level(logging.WARNING):
        found = divided(adata)
    assert "give unlabeled_category='Unknown'" in caplog.text and "Unknown" in found
    assert "names 100 % of the spots" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert divided(adata, unlabeled_category="Unknown") == divided(stroked(None))
    assert caplog.text == ""


def test_so_is_each_other_word_of_that_kind(caplog):
    adata, words = stroked(None), ["unknown", "None", "unlabeled", "unassigned", "NA", "n/a"]
    adata.obs.loc[adata.obs_names[adata.obs["annotation"].isna()][: len(words)], "annotation"] = words
    with caplog.at_level(logging.WARNING):
        divided(adata)
    assert [word for word in words if f"give unlabeled_category='{word}'" not in caplog.text] == []


def test_a_column_that_names_nearly_all_is_warned_of_whatever_the_names(caplog):
    adata = stroked("background")
    adata.obs.loc["s5", "annotation"] = None
    with caplog.at_level(logging.WARNING):
        divided(adata)
    assert "names 99.3 % of the spots" in caplog.text and "unlabeled_category= tells" in caplog.text


def test_strokes_on_half_of_the_tissue_are_no_reason_to_warn(caplog):
    with caplog.at_level(logging.WARNING):
        divided(stroked(None, n_strokes=36))
    assert caplog.text == ""
