"""How the features of a section are made, so that those of a section never seen mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData, concat

from multist import _keys
from multist._settings import logger
from multist.access import Kind, Part, find_expression, refuse_twins, warn_of_raw_components
from multist.tl._expression import make_expression
from multist.tl.domains._inputs import Tissue, features_of, gather_histology, restain

if TYPE_CHECKING:
    from multist.model.fitted import FusionModel

_ENCODER = ("encoder", "patch_size", "patch_unit")
AXES = ("genes", "mean", "loadings", "library", "share", "depth", "power")
"""What :func:`multist.pp.embed_expression` leaves in ``uns`` to project other sections."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the features of the fitted sections were.

    Attributes
    ----------
    expression_key
        ``obsm`` key of the expression embedding.
    axes
        What projects counts on it, as :func:`multist.pp.embed_expression` stores it; None where someone else made it.
    histology
        Parameters of :func:`multist.pp.embed_histology`; None without an image, empty where someone else made it.
    stain
        The stain reference that the slides were brought to; None if they were not.
    """

    expression_key: str
    axes: dict[str, np.ndarray] | None
    histology: dict[str, Any] | None
    stain: dict[str, Any] | None

    @classmethod
    def of(cls, parts: Sequence[Part], expression_key: str, axes: dict[str, Any] | None, *, with_image: bool) -> Recipe:
        """From what the stages have left in the first table."""
        held = parts[0].table.uns.get(_keys.MULTIST, {})
        histology = held.get("histology", {}) if with_image else None
        normalized = _normalized((histology or {}).get("image_key", []))
        kept = {name: histology[name] for name in _ENCODER if name in histology} if histology is not None else None
        return cls(expression_key, axes, kept, held.get(_keys.STAIN_REFERENCE) if normalized else None)

    def expression_of(
        self, parts: Sequence[Part], layer: str | None, fusion: FusionModel, tissue: Tissue
    ) -> np.ndarray:
        """(n, p) embedding of other sections in the same space.

        Raises
        ------
        ValueError
            If it was made in them by themselves, and so was that of the fitted sections.
        """
        if self.axes is None:
            logger.info("using the expression embedding in obsm[%r]", self.expression_key)
            features = features_of(parts, self.expression_key)
            self._check_axes(fusion.shares_axes(features, tissue.section), tissue.section_names)
            return features
        from multist.pp.stages import reduce_expression

        found = [reduce_expression(part.table, axes=self.axes, layer=layer) for part in parts]
        return np.concatenate([fields["obsm"][_keys.EXPRESSION] for fields in found])

    def kept_in(self, parts: Sequence[Part]) -> bool:
        """Whether all tables hold what :meth:`expression_of` gives, and not components on axes of their own."""
        if not all(self.expression_key in part.table.obsm for part in parts):
            return False
        held = _axes(parts, self.expression_key)
        return self.axes is None or (held is not None and np.array_equal(held["loadings"], self.axes["loadings"]))

    def _check_axes(self, shared: bool | None, names: Sequence[str]) -> None:  # noqa: FBT001
        """Refuse components on axes that are not those of the fitted sections, as far as that is known."""
        if shared:
            return
        what = (
            f"obsm[{self.expression_key!r}] of {', '.join(names)} holds principal components that were made there, "
            "without the fitted sections (they are uncorrelated), so its columns mean something else"
        )
        cure = (
            "run pp.embed_expression(fitted) and fit on that, and embed will project new counts as "
            "pp.embed_expression(new, reference=fitted) does; or fit on one embedding of all sections"
        )
        if shared is None:
            logger.warning("%s, unless the fitted ones were projected on these axes; if not, %s", what, cure)
        else:
            raise ValueError(f"{what}, and what projects counts on the fitted ones' axes was not kept: {cure}")

    def histology_of(self, parts: Sequence[Part], image_key: str | None) -> np.ndarray | None:
        """(n, q) histology of other sections, by the same encoder, brought to the same stain; None if none took part.

        Raises
        ------
        ValueError
            If ``obsm["X_histology"]`` was made otherwise, or has to be made and the encoder is not built in.
        """
        if self.histology is None:
            return None
        from multist.pp.stages import describe_histology

        for part in parts:
            if _keys.HISTOLOGY in part.table.obsm:
                self._check_histology(part.table)
                continue
            if self.histology.get("encoder") != "texture":
                raise ValueError(
                    "the histology of the fitted sections was made by "
                    f"{self.histology.get('encoder', 'another function')!r}, which is not kept: run "
                    "pp.embed_histology with it first"
                )
            size, unit = float(self.histology["patch_size"]), str(self.histology["patch_unit"])
            self._stained(part)
            part.write(**describe_histology(part.record, patch_size=size, patch_unit=unit))
        return gather_histology(parts, image_key)

    def _check_histology(self, table: AnnData) -> None:
        """Refuse an embedding of the image that was made otherwise than those of the fitted sections."""
        told = table.uns.get(_keys.MULTIST, {}).get("histology", {})
        differing = [
            name for name in (self.histology or {}) if str(told.get(name)) != str((self.histology or {})[name])
        ]
        if differing:
            raise ValueError(
                f"obsm[{_keys.HISTOLOGY!r}] was made with another {', '.join(differing)} than that of the fitted "
                f"sections ({self.histology}); delete it, or make it with the same"
            )
        if self.stain is not None and not _normalized(told.get("image_key", [])):
            raise ValueError(
                f"obsm[{_keys.HISTOLOGY!r}] was made from an image in its own stain, but those of the fitted sections "
                "are normalised; delete it, and the image is brought to their stain"
            )

    def _stained(self, part: Part) -> None:
        """Bring the image of a section to the stain of the fitted ones."""
        keys = [image.key for image in part.record.images if image is not None]
        if self.stain is not None and not _normalized(keys):
            logger.info("bringing the image to the stain of the fitted sections")
            restain(part, self.stain)


def fitted_expression(
    parts: Sequence[Part], use_rep: str | None, *, layer: str | None, library_key: str | None, random_state: int
) -> tuple[np.ndarray, str, dict[str, Any] | None]:
    """Expression embedding of all parts in one space, its key, and what projects counts on it.

    It is computed where there is none; of several parts it is then not written into them.
    """
    if use_rep is not None:
        _warn_of_components(parts, use_rep)
        return features_of(parts, use_rep), use_rep, _axes(parts, use_rep)
    tables = [part.table for part in parts]
    for key in _keys.EXPRESSION_FEATURES:
        if all(key in table.obsm for table in tables) and (len(parts) == 1 or _axes(parts, key) is not None):
            logger.info("using the expression embedding in obsm[%r]", key)
            _warn_of_components(parts, key)
            return features_of(parts, key), key, _axes(parts, key)
    if len(parts) == 1:
        make_expression(parts[0], layer=layer, library_key=library_key, random_state=random_state)
        return features_of(parts, _keys.EXPRESSION), _keys.EXPRESSION, _axes(parts, _keys.EXPRESSION)
    from multist.pp.stages import reduce_expression

    logger.info("no expression embedding found; running pp.embed_expression")
    for number, table in enumerate(tables):
        refuse_twins(table.var_names, f"var_names of object number {number}")
    together = _together(tables, layer)
    fields = reduce_expression(together, library_key="part", random_state=random_state)
    return fields["obsm"][_keys.EXPRESSION], _keys.EXPRESSION, _kept(fields["uns"][_keys.expression_entry()])


def _warn_of_components(parts: Sequence[Part], key: str) -> None:
    n_obs = sum(part.table.n_obs for part in parts)
    for part in parts if key == _keys.EXPRESSION else ():
        warn_of_raw_components(part.table)
        made = part.table.uns.get(_keys.expression_entry())
        params = made.get("params") if isinstance(made, Mapping) else None
        n_before = params.get("n_obs", 0) if isinstance(params, Mapping) else 0
        if n_before > n_obs:
            logger.warning(
                "obsm[%r] was made from %d spots, of which data holds %d, and still tells of those that are gone: "
                "run pp.embed_expression again where these were no tissue",
                key,
                n_before,
                n_obs,
            )


def _normalized(image_keys: Any) -> bool:
    keys = [str(key) for key in np.atleast_1d(image_keys)]
    return bool(keys) and all(key.endswith(_keys.NORMALIZED_SUFFIX) for key in keys)


def _together(tables: Sequence[AnnData], layer: str | None) -> AnnData:
    """Spots of all tables with the genes that they share; ``obs["part"]`` is the number of the table."""
    wanted: tuple[tuple[Kind, ...], ...] = (("counts",), ("log-normalised",), ("scaled",))
    found = [find_expression(table, layer, wanted) for table in tables]
    if len({one.kind for one in found}) > 1:
        held = "; ".join(f"number {number}: {one.where} holds {one.described()}" for number, one in enumerate(found))
        raise ValueError(f"the objects hold expression of different kinds ({held}); give counts in all of them")
    # what was found out about X of each is said of X of all
    uns: dict[str, Any] = {"log1p": {}} if found[0].kind == "log-normalised" else {}
    parts = {
        str(number): AnnData(one.to_memory(), var=pd.DataFrame(index=one.genes)) for number, one in enumerate(found)
    }
    together = concat(parts, join="inner", label="part", index_unique="-")
    if together.n_vars == 0:
        raise ValueError("the objects have no gene in common: are their var_names of the same kind?")
    together.uns = uns
    return together


def _axes(parts: Sequence[Part], key: str) -> dict[str, Any] | None:
    """What projects counts on an embedding, if all parts have the same."""
    held = [part.table.uns.get(_keys.expression_entry(key), {}) for part in parts]
    if not all(isinstance(each, dict) and all(name in each for name in AXES) for each in held):
        return None
    same = all(np.array_equal(each["loadings"], held[0]["loadings"]) for each in held)
    fits = all(
        part.table.obsm[key].shape[1] == each["loadings"].shape[1] for part, each in zip(parts, held, strict=True)
    )
    return _kept(held[0]) if same and fits else None


def _kept(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(entry[name]) for name in AXES}
