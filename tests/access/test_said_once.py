"""What is told of an image is shown once in a session, and kept with every result."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import multist as mt
from multist._settings import _handler, logger


@pytest.fixture(autouse=True)
def new_session(monkeypatch):
    """What other tests have shown does not count."""
    (once,) = _handler.filters
    monkeypatch.setattr(once, "_shown", set())


@pytest.fixture
def decimal(tissue_table):
    """The tissue with an image in decimal numbers, of which only the pixels tell how large white is."""
    (entry,) = tissue_table.uns["spatial"].values()
    entry["images"]["hires"] = entry["images"]["hires"].astype(np.float32) / 255 * 0.987
    return tissue_table


def shown(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "white is taken" in line]


@pytest.mark.slow
def test_white_is_said_once_of_an_image_and_is_in_every_result(decimal, capsys):
    mt.pp.spatial_graph(decimal, n_neighbors=6)
    mt.pp.embed_histology(decimal)
    first = shown(capsys)
    mt.pp.embed_histology(decimal)
    mt.pl.domains(decimal, "domain", show=False)
    assert len(first) == 1 and not shown(capsys)
    assert any("white is taken" in line for line in decimal.uns["multist"]["decisions"]["embed_histology"])


@pytest.mark.slow
def test_white_of_an_image_with_other_values_is_said_again(decimal, capsys):
    mt.pl.domains(decimal, "domain", show=False)
    shown(capsys)
    (entry,) = decimal.uns["spatial"].values()
    entry["images"]["hires"] = entry["images"]["hires"] * np.float32(0.9)
    for _ in range(2):
        mt.pl.domains(decimal, "domain", show=False)
    assert len(shown(capsys)) == 1


def test_what_was_not_shown_is_shown_when_more_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(mt.settings, "verbosity", "warning")
    logger.info("white is taken for a test", extra={"once": True})
    assert not shown(capsys)
    mt.settings.verbosity = "info"
    for _ in range(2):
        logger.info("white is taken for a test", extra={"once": True})
    assert len(shown(capsys)) == 1


def test_what_is_news_each_time_is_shown_each_time(capsys):
    for _ in range(2):
        logger.log(logging.INFO, "white is taken by somebody")
    assert len(shown(capsys)) == 2
