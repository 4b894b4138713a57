"""Pairs from tables, liana and CellPhoneDB folders."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from multist.tl.borders._pairs import read_pairs


def as_tuples(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    assert list(pairs) == ["source", "target"]
    return list(pairs.itertuples(index=False, name=None))


@pytest.mark.parametrize("columns", [("source", "target"), ("ligand", "receptor")])
def test_a_table_in_either_wording(columns, caplog):
    table = pd.DataFrame([["A", "B"], ["A", "B"], ["C", None], ["", "D"], ["D_E", "F"]], columns=columns)
    before = table.copy()
    assert as_tuples(read_pairs(table.assign(weight=1.0))) == [("A", "B"), ("D_E", "F")]
    pd.testing.assert_frame_equal(table, before)
    assert "2 of 5 rows of pairs lack a ligand or a receptor, and are left out" in caplog.text


def test_other_columns_are_named():
    with pytest.raises(ValueError, match="'source' and 'target'.*found: 'from', 'to'"):
        read_pairs(pd.DataFrame({"from": ["A"], "to": ["B"]}))
    with pytest.raises(ValueError, match="no pair"):
        read_pairs(pd.DataFrame({"source": [], "target": []}))
    with pytest.raises(TypeError, match="not list"):
        read_pairs([("A", "B")])


def test_liana_is_used_if_installed(monkeypatch):
    asked = []

    def select_resource(name: str) -> pd.DataFrame:
        asked.append(name)
        return pd.DataFrame({"ligand": ["A"], "receptor": ["B_C"]})

    resource = ModuleType("liana.resource")
    resource.select_resource = select_resource  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liana", ModuleType("liana"))
    monkeypatch.setitem(sys.modules, "liana.resource", resource)
    assert as_tuples(read_pairs("liana")) == [("A", "B_C")]
    read_pairs("liana:mouseconsensus")
    assert asked == ["consensus", "mouseconsensus"]


def test_liana_is_asked_for_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "liana", None)
    monkeypatch.setitem(sys.modules, "liana.resource", None)
    with pytest.raises(ImportError, match=r"pip install 'multist\[liana\]'"):
        read_pairs("liana")


@pytest.fixture
def cellphonedb(tmp_path: Path) -> Path:
    """A folder in the form of version 5, without its column ``directionality``, as version 4 has it."""
    files = {
        "gene_input.csv": "gene_name,uniprot,hgnc_symbol,ensembl\n"
        "CXCL12,P48061,CXCL12,E1\nCXCR4,P61073,CXCR4,E2\nCXCR4,P61073,CXCR4,E3\nTGFB1,P01137,TGFB1,E4\n"
        "TGFBR1,P36897,TGFBR1,E5\nTGFBR2,P37173,TGFBR2,E6\nOLD,P00001,,E7\n",
        "complex_input.csv": "complex_name,uniprot_1,uniprot_2,uniprot_3,receptor\n"
        "TGFbeta receptor1,P36897,P37173,,True\nlost,P36897,P99999,,True\n",
        "protein_input.csv": "uniprot,protein_name,receptor\nP61073,CXCR4_HUMAN,True\nP48061,SDF1_HUMAN,False\n",
        "interaction_input.csv": "id_cp_interaction,partner_a,partner_b\n"
        ",P61073,P48061\n,P01137,TGFbeta receptor1\n,P01137,lost\n,P00001,P61073\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_cellphonedb_with_the_ligand_first_and_complexes_as_genes(cellphonedb: Path):
    expected = [("CXCL12", "CXCR4"), ("TGFB1", "TGFBR1_TGFBR2"), ("OLD", "CXCR4")]
    assert as_tuples(read_pairs(cellphonedb)) == expected
    assert as_tuples(read_pairs(str(cellphonedb))) == expected


def test_cellphonedb_says_which_comes_first_in_version_5(cellphonedb: Path):
    text = (cellphonedb / "interaction_input.csv").read_text().splitlines()
    directed = [text[0] + ",directionality", *(f"{line},Ligand-Receptor" for line in text[1:])]
    (cellphonedb / "interaction_input.csv").write_text("\n".join(directed))
    assert as_tuples(read_pairs(cellphonedb))[0] == ("CXCR4", "CXCL12")


def test_a_folder_that_is_not_one_is_told(cellphonedb: Path):
    (cellphonedb / "complex_input.csv").unlink()
    with pytest.raises(FileNotFoundError, match="lacks complex_input.csv"):
        read_pairs(cellphonedb)
    with pytest.raises(FileNotFoundError, match="'consensus' is no folder"):
        read_pairs("consensus")
