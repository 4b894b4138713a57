"""The embedding of the expression that every topic reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multist._settings import logger

if TYPE_CHECKING:
    from multist.access import Part


def make_expression(part: Part, **options: Any) -> None:
    """Embed the expression of a table that has no embedding, by the options of :func:`multist.pp.embed_expression`."""
    logger.info("no expression embedding found; running pp.embed_expression")
    from multist.pp.stages import reduce_expression

    part.write(**reduce_expression(part.table, **options))
