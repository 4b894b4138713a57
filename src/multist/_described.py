"""What parameters mean that several functions share: told once, and put into the docstring of each."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Described = TypeVar("Described", bound=Callable[..., Any])

SHARED = {
    "cluster_key": "Column of ``obs`` with the domains, found or drawn by hand; spots without one are left out.",
    "config": "Constants of the model; None takes the defaults of :class:`multist.tl.MultiSTConfig`.",
    "copy": "Return a changed copy, and leave the input as it is.",
    "device": 'Where networks run: a name that torch knows, or ``"auto"`` for that of '
    "``multist.settings.device``, else the best that there is.",
    "gene_symbols": "Column of ``var`` with gene symbols, where ``var_names`` are others.",
    "image_key": "Image to use; None takes the normalised one if there is one, else the only one.",
    "key": "Name of the result: the ``key_added`` of :func:`multist.tl.multist_domains`.",
    "key_added": "Name of the result, which takes the place of ``multist`` in the names of the fields.",
    "labels_key": "Column of ``obs`` in which a person named some spots; missing elsewhere. The domains then are the "
    "classes that were named, with their names and colours, and as many further ones as ``n_domains`` is larger. See "
    ":doc:`/guided`.",
    "layer": "Layer of the raw counts, if they are not in ``X``; it has to be there, and is read when the embedding "
    "has to be computed.",
    "library_key": "Column of ``obs`` that names the section of each spot; left out, it is that of an "
    "earlier call or one with the names of the several sections in ``uns['spatial']``, else the regions of a "
    "SpatialData's table are the sections. Spots of different sections are no neighbours.",
    "microns_per_pixel": "Micrometres per unit of the coordinates, where the data does not say.",
    "n_domains": "Exact number of domains, from 1 to the number of spots; None with ``labels_key`` for those that "
    'were named; several to choose from, such as ``range(4, 12)``; or ``"auto"``, which chooses from 2 to 20, but no '
    "more than one per ten spots. See :doc:`/how_it_works` for the rule, and :func:`multist.pl.n_domains` to see the "
    "curve.",
    "random_state": "Seed. The same input, seed and number of threads give the same bits on the CPU.",
    "refine": "Let spots that stand alone join what surrounds them. It erases domains that are one spot wide.",
    "table_key": "Table of a SpatialData; may be left out where there is one.",
    "threshold": "Share of the spots of its domain that have to express ligand and receptor for a test.",
    "trust": "Probability that a stroke is right, up to 1. Strokes stay as they are if it is 1, and may be overruled "
    "below.",
    "unlabeled_category": 'Value of that column that means "not named", such as ``"unknown"``; None if these are '
    'missing. Missing values as text (``"nan"``, ``"<NA>"``) are not named either.',
    "use_image": '``"auto"`` uses the image where there is one in which a spot is at least ten pixels wide, True '
    "demands it, False ignores it.",
    "use_rep": "``obsm`` key of the expression embedding; None takes ``X_pca`` or ``X_feat``, or computes it from "
    "counts.",
    "white": "Value of a white pixel, for images that are not uint8 and do not tell; None tells it by their pixels.",
}
"""Parameters of the functions that compute; a docstring that says more or something else about one keeps its own words.
"""
_HEADING = "Parameters\n----------\n"
_WIDTH = 116
"""Characters of a line of a description."""


def described(function: Described) -> Described:
    """Complete the docstring of a function or class by what :data:`SHARED` says of its parameters."""
    function.__doc__ = with_parameters(function.__doc__, inspect.signature(function), SHARED)
    return function


def with_parameters(docstring: str | None, signature: inspect.Signature, shared: Mapping[str, str]) -> str | None:
    """A docstring with the parameters that it describes itself and those that are shared, as the signature orders them.

    Parameters
    ----------
    docstring
        In numpy's style, with a section of parameters; None where the interpreter leaves docstrings out.
    signature
        Of the function or class.
    shared
        Descriptions of parameters. The docstring's own come before them.
    """
    if docstring is None:
        return None
    text = inspect.cleandoc(docstring)
    start = text.index(_HEADING) + len(_HEADING)
    described_here, *others = re.split(r"\n\n(?=[^\n]+\n---)", text[start:], maxsplit=1)
    entries = {name: _entry(name, shared[name]) for name in signature.parameters if name in shared}
    for entry in re.split(r"\n(?=\S)", described_here):
        entries |= dict.fromkeys(entry.partition("\n")[0].split(", "), entry)
    # an entry may be about several parameters
    ordered = dict.fromkeys(entries[name] for name in (*signature.parameters, *entries) if name in entries)
    return "\n\n".join([text[:start] + "\n".join(ordered), *others])


def _entry(name: str, description: str) -> str:
    lines = textwrap.fill(description, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{name}\n{textwrap.indent(lines, '    ')}"
