"""MultiST: spatial domains from expression, histology and space.

The public names are those of the stub file beside this one. Each is loaded when it is first used, so that
``import multist`` is instant.
"""

from importlib.metadata import version

from lazy_loader import attach_stub

__version__ = version("multist")
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
