"""What was made from what: removed with its source, and kept with anything else."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access.draft import Draft
from multist.access.stale import digest_of, domain_params, forget_dependents, refuse_stale, replaced

N = 4
ALL_STEPS = (
    "embed_expression",
    "embed_histology",
    "fit",
    "predict",
    "cluster",
    "cluster_domains",
    "domain_shapes",
    "pseudotime",
    "interactions",
    "ligrec",
    "border_sharpness",
)


@pytest.fixture
def table() -> ad.AnnData:
    """With every result there is, and one of somebody else."""
    obs = pd.DataFrame(
        {name: np.arange(N) for name in ("multist_confidence", "multist_image_weight", "multist_pseudotime", "other")},
        index=[f"s{i}" for i in range(N)],
    )
    obs["multist_domain"] = pd.Categorical(list("aabb"))
    made = ad.AnnData(np.ones((N, 2), np.float32), obs=obs)
    for name in ("X_pca", "X_histology", "X_multist", "multist_probability", "X_else"):
        made.obsm[name] = np.ones((N, 2))
    for name in ("spatial_connectivities", "multist_attention"):
        made.obsp[name] = sparse.identity(N, format="csr")
    of_domains = {"cluster_key": "multist_domain"}
    made.uns["multist"] = {
        "params": {
            "expression_key": "X_pca",
            "with_image": True,
            "use_rep": "X_multist",
            "n_domains": 2,
            "random_state": 0,
        },
        "versions": {"multist": "0"},
        "histology": {"key_added": "X_histology", "image_key": "he"},
        "image_gain": 0.1,
        "structured_share": 0.6,
        "losses": [1.0],
        "n_domains": {"chosen": 2},
        "guided": {"classes": ["a"]},
        "pseudotime": {"params": of_domains | {"use_rep": "X_multist", "spatial_weight": 0.5}},
        "interactions": {"params": of_domains | {"expression_key": "X_pca"}},
        "ligrec": {"params": of_domains},
        "border_sharpness": np.ones(2),
        "border_sharpness_params": dict(of_domains),
        "decisions": {name: ["a line"] for name in ALL_STEPS},
        "domain_shapes": {"outlines": dict(of_domains), "others": {"cluster_key": "other"}},
    }
    made.uns["multist_domain_colors"] = ["red", "blue"]
    made.uns["theirs"] = {"params": {"use_rep": "X_else"}}
    return made


def removed_with(table: ad.AnnData, *new: tuple[str, ...]) -> tuple[set[tuple[str, ...]], Draft]:
    draft = Draft(table)
    return set(forget_dependents(draft, new)), draft


RESULTS = {("uns", "multist", name) for name in ("pseudotime", "interactions", "ligrec", "border_sharpness")}
DOMAINS, EMBEDDING, OUTLINES = ("obs", "multist_domain"), ("obsm", "X_multist"), ("shapes", "outlines")


@pytest.mark.parametrize(
    ("new", "removed"),
    [
        (("images", "he"), {("obsm", "X_histology"), EMBEDDING, DOMAINS, OUTLINES, *RESULTS}),
        (("obsm", "X_pca"), {EMBEDDING, DOMAINS, OUTLINES, *RESULTS}),
        (("obsp", "spatial_connectivities"), {EMBEDDING, DOMAINS, OUTLINES, *RESULTS}),
        (EMBEDDING, {DOMAINS, OUTLINES, *RESULTS}),
        (DOMAINS, {OUTLINES, *RESULTS}),
        (("obs", "other"), {("shapes", "others")}),
        (("obsm", "X_else"), set()),
        (("obs", "multist_confidence"), set()),
    ],
)
def test_what_was_made_from_a_field_goes_with_it_and_so_does_what_was_made_from_that(table, new, removed):
    before = table.copy()
    found, draft = removed_with(table, new)
    assert found == removed
    for group, *path in removed - {OUTLINES, ("shapes", "others")}:
        held = getattr(draft, group)
        assert path[0] not in held if len(path) == 1 else path[1] not in held[path[0]]
    assert set(draft.uns["multist"]["domain_shapes"]) == {"outlines", "others"} - {
        name for _, name in removed & {OUTLINES, ("shapes", "others")}
    }
    # the table itself is as it was
    assert set(table.obsm) == set(before.obsm) and set(table.obs) == set(before.obs)
    assert set(table.uns["multist"]) == set(before.uns["multist"])


def test_what_lies_beside_a_result_goes_with_it(table):
    _, draft = removed_with(table, EMBEDDING)
    for group, name in [
        ("obs", "multist_confidence"),
        ("obsm", "multist_probability"),
        ("uns", "multist_domain_colors"),
    ]:
        assert name not in getattr(draft, group)
    assert "multist_image_weight" in draft.obs and "multist_attention" in draft.obsp  # these are the embedding's
    assert {"n_domains", "guided"} & set(draft.uns["multist"]) == set()
    assert {"image_gain", "structured_share", "losses", "params", "histology"} <= set(draft.uns["multist"])
    assert "multist_pseudotime" not in draft.obs
    _, draft = removed_with(table, ("obsm", "X_pca"))
    assert "multist_image_weight" not in draft.obs and "multist_attention" not in draft.obsp
    assert {"image_gain", "structured_share", "losses"} & set(draft.uns["multist"]) == set()
    assert "border_sharpness_params" not in draft.uns["multist"]


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (("images", "he"), {"embed_expression"}),
        (("obsm", "X_histology"), {"embed_expression"}),
        (EMBEDDING, {"embed_expression", "embed_histology"}),
        (DOMAINS, {"embed_expression", "embed_histology", "fit"}),
        (("obsm", "X_else"), set(ALL_STEPS)),
    ],
)
def test_decisions_about_what_is_gone_or_made_anew_go_with_it(table, new, kept):
    assert set(removed_with(table, new)[1].uns["multist"]["decisions"]) == kept


def test_parameters_of_what_is_gone_go_with_it(table):
    params = table.uns["multist"]["params"]
    _, draft = removed_with(table, EMBEDDING)
    assert draft.uns["multist"]["params"] == {
        name: params[name] for name in ("expression_key", "with_image", "random_state")
    }
    params["use_rep"] = "X_else"  # the domains are of another embedding, and stay
    _, draft = removed_with(table, ("obsm", "X_histology"))
    assert draft.uns["multist"]["params"] == {"use_rep": "X_else", "n_domains": 2, "random_state": 0}
    _, draft = removed_with(table, ("obsp", "spatial_connectivities"))
    assert not {"params", "versions"} & set(draft.uns["multist"])


def test_the_graph_counts_for_what_was_made_on_it(table):
    del table.uns["multist"]["params"]
    graph = ("obsp", "spatial_connectivities")
    on_graph = {("uns", "multist", name) for name in ("interactions", "border_sharpness")}
    assert removed_with(table, graph)[0] == {("uns", "multist", "pseudotime"), *on_graph}
    table.uns["multist"]["pseudotime"]["params"]["spatial_weight"] = 0.0
    assert removed_with(table, graph)[0] == on_graph


def test_without_an_image_its_features_do_not_count(table):
    table.uns["multist"]["params"]["with_image"] = False
    assert removed_with(table, ("obsm", "X_histology"))[0] == set()


def test_it_says_from_what_and_what_to_run(table):
    said = forget_dependents(Draft(table), [EMBEDDING])
    made = "obs['multist_domain'] is removed: it was made from obsm['X_multist'], which is new"
    assert said[DOMAINS] == f"{made}; run tl.cluster_domains again"
    assert "made from obs['multist_domain'], which is gone; run tl.ligrec" in said["uns", "multist", "ligrec"]
    assert "run tl.multist_domains again" in forget_dependents(Draft(table), [("obsm", "X_pca")])[EMBEDDING]
    table.uns["multist"]["params"]["fitted_on"] = "else"
    assert "run MultiST.embed again" in forget_dependents(Draft(table), [("obsm", "X_pca")])[EMBEDDING]


def test_only_what_differs_is_replaced(table):
    draft = Draft(table)
    same = {
        "X_pca": np.ones((N, 2)),
        "X_else": np.ones((N, 3)),
        "X_new": np.ones((N, 2)),
        "X_multist": np.zeros((N, 2)),
    }
    assert replaced(draft, {"obsm": same}) == [("obsm", "X_else"), ("obsm", "X_multist")]
    graphs = {"spatial_connectivities": sparse.identity(N, format="csr"), "multist_attention": np.eye(N)}
    assert replaced(draft, {"obsp": graphs}) == [("obsp", "multist_attention")]
    graphs["spatial_connectivities"] = 2 * sparse.identity(N, format="csr")
    assert ("obsp", "spatial_connectivities") in replaced(draft, {"obsp": graphs})
    domains = {"multist_domain": list("aabb"), "other": [0, 1, 2, 4]}
    assert replaced(draft, {"obs": domains, "uns": {"multist": {}}}) == [("obs", "other")]


def test_domains_are_told_by_their_division_not_by_their_names():
    plain = pd.Series(list("aabb"))
    assert (
        digest_of(plain) == digest_of(pd.Series(list("xxyy"))) == digest_of(pd.Series(list("bbaa"), dtype="category"))
    )
    assert digest_of(plain) != digest_of(pd.Series(list("abab")))
    assert len(digest_of(plain)) == 16


def test_a_result_of_other_domains_is_refused(table):
    params = domain_params(table, "multist_domain")
    assert params["n_obs"] == N and params["cluster_key"] == "multist_domain"
    refuse_stale(table, params, "it", "f", ["a", "b"])
    with pytest.raises(ValueError, match="it names 'c', which obs"):
        refuse_stale(table, params, "it", "f", ["a", "c"])
    part = table[:3].copy()
    refuse_stale(part, params, "it", "f", ["c"])  # of a part of it, names alone are compared
    part.obs["multist_domain"] = part.obs["multist_domain"].cat.rename_categories({"a": "new"})
    with pytest.raises(ValueError, match="it was made from domains of other names"):
        refuse_stale(part, params, "it", "f", ["a", "b"])
    swapped = table.copy()
    swapped.obs["multist_domain"] = swapped.obs["multist_domain"].cat.rename_categories({"a": "b", "b": "a"})
    refuse_stale(swapped, params, "it", "f")  # what names no domain
    with pytest.raises(ValueError, match="it was made before domains of .* changed their names"):
        refuse_stale(swapped, params, "it", "f", ["a", "b"])
    refuse_stale(table, {name: params[name] for name in ("cluster_key", "n_obs")}, "it", "f", ["c"])
    table.obs["multist_domain"] = pd.Categorical(list("abbb"))
    with pytest.raises(ValueError, match="it was made from other domains .* run f again"):
        refuse_stale(table, params, "it", "f")
    del table.obs["multist_domain"]
    with pytest.raises(KeyError, match="not there any more"):
        refuse_stale(table, params, "it", "f")
