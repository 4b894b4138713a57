"""How the documentation is built; see ``nox -s docs``."""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy.typing
import pandas
import spatialdata
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.ext.napoleon import NumpyDocstring
from sphinx.util.inspect import stringify_signature

import multist

HERE = Path(__file__).parent
# tutorials live where people look for notebooks; the documentation shows executed copies
TUTORIALS = HERE.parent / "tutorials"
for notebook in TUTORIALS.glob("*.ipynb"):
    shutil.copy2(notebook, HERE / "tutorials" / notebook.name)
sys.path.insert(0, str(TUTORIALS))
import run  # noqa: E402

run.set_environment()

project = "multist"
author = "The multist developers"
copyright = "the multist developers, BSD-3-Clause"
version = release = multist.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "myst_nb",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# every reference has to lead somewhere
nitpicky = True
# made by functions, not by people
nitpick_ignore_regex = [("py:class", r"multist\..*\.StainReference"), ("py:class", r"multist\._settings\.Verbosity")]
# what this documentation refers to in others; kept here, so that it builds without a network
intersphinx_mapping = {
    name: (url, str(HERE / "inventories" / f"{name}.txt"))
    for name, url in {
        "anndata": "https://anndata.readthedocs.io/en/stable/",
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "python": "https://docs.python.org/3/",
        "sklearn": "https://scikit-learn.org/stable/",
        "spatialdata": "https://spatialdata.scverse.org/en/stable/",
        "squidpy": "https://squidpy.readthedocs.io/en/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}

autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
typehints_defaults = "braces"
typehints_document_rtype = False
always_use_bars_union = True
# types whose own module, or whose parts, are not what their documentation calls them
_SHORT = {
    anndata.AnnData: ":class:`~anndata.AnnData`",
    spatialdata.SpatialData: ":class:`~spatialdata.SpatialData`",
    pandas.DataFrame: ":class:`~pandas.DataFrame`",
    numpy.typing.ArrayLike: ":data:`~numpy.typing.ArrayLike`",
    numpy.typing.ArrayLike | None: ":data:`~numpy.typing.ArrayLike` | None",
}


def typehints_formatter(annotation: Any, config: Config) -> str | None:
    """Call a type as its documentation does; None leaves it to the extension."""
    try:
        return _SHORT.get(annotation)
    except TypeError:  # a list of arguments, as in Callable[[int], int], is no key
        return None


suppress_warnings = [
    # imports that exist for type checkers only, some of them of packages that one may do without
    "sphinx_autodoc_typehints.forward_reference",
    "sphinx_autodoc_typehints.guarded_import",
    # the function above
    "config.cache",
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

html_theme = "furo"
html_title = "multist"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#780069", "color-brand-content": "#0072B2"},
    "dark_css_variables": {"color-brand-primary": "#CC79A7", "color-brand-content": "#56B4E9"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _all_options(app: Sphinx, what: str, name: str, plot: Any, *_: Any) -> tuple[str, None] | None:
    """Show in the signature of each plot the options that all share, which a decorator adds."""
    if not name.startswith("multist.pl."):
        return None
    return stringify_signature(inspect.signature(plot), show_annotation=False), None


def setup(app: Sphinx) -> None:
    """Come before the extension that would unwrap plots."""
    app.connect("autodoc-process-signature", _all_options, priority=400)


def _returns_as_written(self: NumpyDocstring, section: str) -> list[str]:
    """Keep a "Returns" section as it is: prose and the fields written, not a list of types as napoleon reads it."""
    # sphinx_autodoc_typehints puts a colon on top, which tells the reader that this replaces not to look for types
    lines = [line for line in self._dedent(self._consume_to_next_section()) if line.strip() != ":"]
    return self._format_block(":returns: ", lines)


NumpyDocstring._parse_returns_section = _returns_as_written  # type: ignore[method-assign]
