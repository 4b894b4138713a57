"""What each step does to a record, without the user's object; :mod:`multist.tl` runs those that are missing."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub("multist.pp", __file__)
