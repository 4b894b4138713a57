"""What is said: by name or number as in scanpy, on stderr, once."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import multist as mt
from multist._settings import logger, settings


@pytest.fixture(autouse=True)
def verbosity_put_back(monkeypatch):
    monkeypatch.setattr(settings, "verbosity", settings.verbosity)


def say_everything(capsys: pytest.CaptureFixture) -> list[str]:
    capsys.readouterr()
    logger.error("an error")
    logger.warning("a warning")
    logger.info("an information")
    logger.log(15, "a hint")
    logger.debug("a detail")
    return [line.split()[-1] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        ("error", ["error"]),
        (0, ["error"]),
        ("warning", ["error", "warning"]),
        (1, ["error", "warning"]),
        ("info", ["error", "warning", "information"]),
        ("hint", ["error", "warning", "information", "hint"]),
        (3, ["error", "warning", "information", "hint"]),
        ("debug", ["error", "warning", "information", "hint", "detail"]),
        (4, ["error", "warning", "information", "hint", "detail"]),
    ],
)
def test_names_and_numbers_are_scanpys(verbosity, shown, capsys):
    mt.settings.verbosity = verbosity
    assert say_everything(capsys) == shown
    assert verbosity in (mt.settings.verbosity.name, mt.settings.verbosity.value)


def test_all_settings_are_shown():
    mt.settings.verbosity = "warning"
    shown = repr(mt.settings)
    assert shown.startswith("Settings(device='auto', ") and shown.endswith(", verbosity='warning')")


def test_decisions_are_shown_by_default(capsys):
    assert mt.settings.verbosity.name == "info"
    assert say_everything(capsys) == ["error", "warning", "information"]


def test_a_line_says_whose_it_is_and_what_is_more_than_information(capsys):
    logger.info("the graph is %s", "reused")
    logger.warning("no image")
    assert capsys.readouterr().err.splitlines() == ["multist: the graph is reused", "multist: warning: no image"]


@pytest.mark.parametrize("wrong", ["ERROR", "loud", 5, -1, None, True, logging.INFO])
def test_another_verbosity_is_refused_and_the_present_one_kept(wrong):
    mt.settings.verbosity = "hint"
    with pytest.raises(ValueError, match=r"verbosity must be one of 'error' \(0\), .*'debug' \(4\); got"):
        mt.settings.verbosity = wrong
    assert mt.settings.verbosity == 3


def test_no_line_is_said_twice_whatever_the_root_logger_does():
    code = """
import logging, multist
logging.basicConfig(level=0)
from multist._settings import logger
logger.info("said once")
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stderr == "multist: said once\n" and said.stdout == ""


def test_a_line_stands_above_a_progress_bar(capsys):
    from tqdm import tqdm

    with tqdm(total=2, desc="work") as bar:
        bar.update()
        logger.info("in between")
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert "multist: in between" in [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("verbose", "verbosity"), ("progres", "progress"), ("cachedir", "cache_dir"), ("Device", "device")],
)
def test_a_setting_that_is_none_is_refused_and_the_close_one_named(slip, meant):
    before = vars(settings).copy()
    with pytest.raises(AttributeError, match=f"no '{slip}'; it has: device, .*verbosity. Did you mean '{meant}'"):
        setattr(mt.settings, slip, 0)
    assert vars(settings) == before


def test_a_setting_like_no_other_is_refused_with_all_that_there_are():
    with pytest.raises(AttributeError, match="it has: device, graph_backend, progress, cache_dir, verbosity.$"):
        mt.settings.n_jobs = 4
