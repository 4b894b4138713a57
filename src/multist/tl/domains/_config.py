"""The constants of the model, offered beside the functions that take them."""

from multist.model.config import MultiSTConfig

__all__ = ["MultiSTConfig"]
