"""Genes of pairs in a table, and the expression of complexes."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.tl.borders._molecules import find_molecules, molecule_expression


def table(names: list[str], counts: np.ndarray | None = None) -> ad.AnnData:
    counts = np.arange(1.0, 3 * len(names) + 1).reshape(3, -1) if counts is None else counts
    return ad.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=names))


def pairs(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["source", "target"])


def test_mouse_genes_are_found_by_human_names(caplog):
    adata = table(["Cxcl12", "Cxcr4", "Tgfb1"])
    with caplog.at_level(logging.INFO, logger="multist"):
        found = find_molecules(pairs(("CXCL12", "CXCR4"), ("TGFB1", "TGFBR2")), adata, None)
    assert found.pairs.to_numpy().tolist() == [["CXCL12", "CXCR4"]]
    assert [found.genes[i] for i in (found.ligand[0], found.receptor[0])] == [(0,), (1,)]
    assert "1 of 2" in caplog.text


def test_a_name_as_it_is_written_comes_before_another_case():
    found = find_molecules(pairs(("Abc", "D"), ("ABC", "D"), ("ABC", "d")), table(["ABC", "Abc", "D"]), None)
    assert [found.genes[i] for i in found.ligand] == [(1,), (0,)]  # the third is the second, once more


@pytest.mark.filterwarnings("ignore:Variable names")
@pytest.mark.parametrize("name", ["REC", "rec", "R1_REC"])
@pytest.mark.parametrize("by_names", [True, False])
def test_a_name_of_several_genes_is_refused_where_it_is_asked_for(name, by_names):
    names = ["L", "REC", "R1", "REC", "R2"]
    adata = table(names if by_names else list("abcde"))
    adata.var["symbol"] = names
    symbols = None if by_names else "symbol"
    where = "var_names" if by_names else r"var\['symbol'\]"
    with pytest.raises(ValueError, match=rf"'{name}' names several genes in {where} \(columns 1, 3\)"):
        find_molecules(pairs(("L", name)), adata, symbols)
    assert len(find_molecules(pairs(("L", "R2_R1")), adata, symbols).pairs) == 1


def test_a_name_that_differs_from_several_in_case_only_is_refused():
    with pytest.raises(ValueError, match="'abc' names several genes"):
        find_molecules(pairs(("abc", "D")), table(["ABC", "Abc", "D"]), None)


def test_a_table_without_genes_is_named_as_such():
    with pytest.raises(ValueError, match="^the table has no genes"):
        find_molecules(pairs(("L", "R")), table([], np.zeros((3, 0))), None)


def test_complexes_need_all_subunits_and_names_may_have_underscores():
    adata = table(["L", "R1", "R2", "R_3"])
    found = find_molecules(pairs(("L", "R2_R1"), ("L", "R1_R9"), ("L", "R_3")), adata, None)
    assert found.pairs["target"].tolist() == ["R2_R1", "R_3"]
    assert [found.genes[i] for i in found.receptor] == [(1, 2), (3,)]


def test_symbols_may_be_in_a_column():
    adata = table(["ENSG1", "ENSG2"])
    adata.var["symbol"] = ["L", "R"]
    with pytest.raises(ValueError, match=r"none of 1 pair has.*'L', 'R'.*'ENSG1'.*gene_symbols.*'symbol'"):
        find_molecules(pairs(("L", "R")), adata, None)
    assert len(find_molecules(pairs(("L", "R")), adata, "symbol").pairs) == 1
    with pytest.raises(KeyError, match="'name' not found in var; found: 'symbol'"):
        find_molecules(pairs(("L", "R")), adata, "name")


def test_counts_are_normalised_in_a_copy_and_a_complex_is_its_scarcest_subunit():
    counts = np.array([[1, 3, 6], [5, 0, 5], [0, 0, 0]], dtype=np.float32)
    adata = ad.AnnData(sparse.csr_matrix(counts))
    before = adata.copy()
    found = molecule_expression(adata, None, [(0,), (0, 1)])
    expected = np.log1p(counts / np.array([[10], [10], [1]]) * 1e4)
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], expected[:, :2].min(axis=1), rtol=1e-6)
    assert abs(adata.X - before.X).sum() == 0
