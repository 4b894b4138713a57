"""What is to be shown, found once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._words import counted
from multist.access import check_layer, colors_of, listed, not_found, read_domains, resolve_shown

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access import SpatialRecord


@dataclass(frozen=True)
class Result:
    """What is to be shown, resolved once.

    Attributes
    ----------
    data, key
        The user's object, and the name of the result in it.
    record
        Its spots and images.
    cluster_key, domains
        The column of the domains, and its values as strings in their order.
    where
        Arguments by which plots find the same.
    gene_symbols, layer, n_markers
        As the user gave them.
    """

    data: AnnData | SpatialData
    key: str
    record: SpatialRecord
    cluster_key: str
    domains: pd.Series
    where: Mapping[str, Any]
    gene_symbols: str | None
    layer: str | None
    n_markers: int

    @classmethod
    def of(
        cls,
        data: AnnData | SpatialData,
        key: str,
        *,
        cluster_key: str | None,
        table_key: str | None,
        image_key: str | None,
        library_key: str | None,
        gene_symbols: str | None,
        layer: str | None,
        n_markers: int,
    ) -> Result:
        """Resolve it.

        Raises
        ------
        KeyError
            There are no domains.
        ValueError
            The column holds measurements.
        """
        where = {"table_key": table_key, "image_key": image_key, "library_key": library_key}
        record = resolve_shown(data, **where)
        column = cluster_key or _keys.domain_key(key)
        if column not in record.table.obs:
            raise not_found(column, "obs", record.table.obs, argument="cluster_key", key_added=key)
        check_layer(record.table, layer)
        domains = read_domains(record.table, column).cat.remove_unused_categories()
        return cls(data, key, record, column, domains, where, gene_symbols, layer, n_markers)

    @cached_property
    def entry(self) -> Mapping[str, Any]:
        """What ``uns`` holds of the result."""
        held = self.record.table.uns.get(self.key, {})
        return held if isinstance(held, Mapping) else {}

    @cached_property
    def names(self) -> list[str]:
        """Of the domains, in their order."""
        return list(self.domains.cat.categories)

    @cached_property
    def colors(self) -> dict[str, str]:
        """``#rrggbb`` of each domain."""
        return colors_of(self.record.table, self.cluster_key)

    @property
    def heading(self) -> str:
        """The names of the sections."""
        names = self.record.section_names
        return "Spatial domains" if names in (("section",), ("spots",)) else f"Spatial domains of {', '.join(names)}"

    @property
    def summary(self) -> str:
        """The size of it in a sentence."""
        record = self.record
        images = sorted({image.key for image in record.images if image is not None})
        parts = [counted(len(record.xy), "spot"), counted(len(self.names), "domain")]
        if record.table.n_vars:
            parts.insert(1, counted(record.table.n_vars, "gene"))
        if len(record.section_names) > 1:
            parts.insert(0, f"{len(record.section_names)} sections")
        return ", ".join(parts) + (f"; image {listed(images)}" if images else "; no image") + "."

    def column(self, name: str) -> pd.Series | None:
        """Numbers of ``obs``, if there are any."""
        obs = self.record.table.obs
        values = pd.to_numeric(obs[name], errors="coerce").astype(float) if name in obs else None
        return values if values is not None and np.isfinite(values).any() else None
