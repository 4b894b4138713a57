"""The model as an object: fitted once, applied to other sections, kept in a folder."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multist import _keys
from multist._described import described
from multist.access import as_list, get_table, run
from multist.tl.domains._cluster_domains import asked_domains
from multist.tl.domains._embedding_fields import made_by
from multist.tl.domains._inputs import is_embedded, wanted_image

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.model.config import MultiSTConfig
    from multist.tl.domains._fitted_model import FittedModel

    Data: TypeAlias = AnnData | SpatialData | Sequence[AnnData | SpatialData]


_INSTEAD = "fit another model without images (use_image=False), as this one was fitted with them"
"""What can be done with a section that has no image, as errors say it."""


@described
class MultiST:
    """Fusion of expression, histology and space, fitted to some sections and applied to others.

    :func:`multist.tl.multist_domains` is :meth:`fit` and :meth:`cluster` in one call; this object is for those who want
    to embed a section that was not there when the model was fitted, or to keep the model. It can be pickled, and
    :func:`sklearn.base.clone` gives one with the same parameters that is not fitted.

    Parameters
    ----------
    config
        Constants of the model; None takes the defaults of :class:`multist.tl.MultiSTConfig`.

    Examples
    --------
    >>> model = mt.MultiST().fit(first)
    >>> model.cluster(first, 7)
    >>> model.save("cortex")
    >>> mt.MultiST.load("cortex").predict(second)  # embedded without training, the same seven domains
    >>> mt.MultiST().fit(first, labels_key="annotation").predict(second)  # what a person named in the first

    References
    ----------
    MultiST, arXiv 2601.13331; the departures from it are explained in the documentation.
    """

    def __init__(self, config: MultiSTConfig | None = None, *, device: str = "auto", random_state: int = 0) -> None:
        from multist.model.config import as_config

        self.config = as_config(config)
        self.device = device
        self.random_state = random_state
        self._fitted: FittedModel | None = None

    @described
    def fit(
        self,
        data: Data,
        *,
        n_domains: int | None = None,
        labels_key: str | None = None,
        unlabeled_category: str | None = None,
        trust: float = 1.0,
        use_image: bool | Literal["auto"] = "auto",
        use_rep: str | None = None,
        layer: str | None = None,
        table_key: str | None = None,
        image_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
    ) -> MultiST:
        """Train on one or several objects, and embed them; with ``labels_key`` also :meth:`cluster` them.

        The fields that are written are those of :func:`multist.tl.multist_domains`; without ``labels_key`` there are no
        domains.

        Parameters
        ----------
        data
            Sections to learn from, which share one embedding.
        n_domains
            Exact number of domains. Without ``labels_key`` it is read by ``MultiSTConfig.published()`` only.

        Returns
        -------
        The model itself.
        """
        from multist.tl.domains._model_steps import cluster_parts, fit_parts

        if labels_key is None and self.config.losses is not None and n_domains is None:
            raise ValueError("the published method needs a number of domains before training; give n_domains")
        stage: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
        keys = {**stage, "image_key": image_key}
        made: dict[str, Any] = {"key_added": key_added, "random_state": self.random_state}
        image = wanted_image(data, use_image, table_key)
        with run(data, "fit", random_state=self.random_state, key_added=key_added, image=image, **keys) as work:
            named = None
            if labels_key is not None:  # refused before training
                named = asked_domains(
                    work.parts, n_domains, labels_key, unlabeled_category, trust=trust, key_added=key_added
                )
            n_centres = named.counts[0] if named else n_domains or 1
            read: dict[str, Any] = {"use_image": use_image, "use_rep": use_rep, "layer": layer}
            fitted = fit_parts(work.parts, self.config, n_centres, **read, device=self.device, **made, params=keys)
            if named is not None:
                fitted = cluster_parts(fitted, work.parts, named, refine=False, **made, params=stage)
        self._fitted = fitted
        return self

    @described
    def embed(
        self,
        data: Data,
        *,
        layer: str | None = None,
        table_key: str | None = None,
        image_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
        copy: bool = False,
    ) -> Data | None:
        """Embed sections that the model was not fitted on, without training.

        A section gets a graph of its own; its counts are projected on the axes of the fitted ones, its image is brought
        to their stain and described by the same encoder.

        Parameters
        ----------
        data
            Sections to embed.

        Returns
        -------
        None, or the changed copy. The same fields as by :meth:`fit`, but for the losses.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        KeyError, ValueError
            If a section lacks what the model reads (genes, the embedding it was given, or an image), or that embedding
            holds principal components of its own.
        """
        from multist.tl.domains._model_steps import embed_parts

        fitted = self._needs_fit()
        keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image_key": image_key}
        image = fitted.recipe.histology is not None and not is_embedded(data, table_key)
        with run(data, "embed", key_added=key_added, copy=copy, image=image, instead=_INSTEAD, **keys) as work:
            embed_parts(fitted, work.parts, layer=layer, key_added=key_added, device=self.device, params=keys)
        return work.result

    @described
    def cluster(
        self,
        data: Data,
        n_domains: int | Sequence[int] | Literal["auto"] | None = None,
        *,
        labels_key: str | None = None,
        unlabeled_category: str | None = None,
        trust: float = 1.0,
        refine: bool = False,
        table_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
        copy: bool = False,
    ) -> Data | None:
        """Find domains in what has been fitted or embedded, and remember them for :meth:`predict`.

        Parameters
        ----------
        data
            Sections that hold an embedding of this model.

        Returns
        -------
        None, or the changed copy, with the fields of :func:`multist.tl.cluster_domains`.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        ValueError
            If the embedding is not of this model, and as for :func:`multist.tl.cluster_domains`.
        """
        from multist.tl.domains._model_steps import cluster_parts

        fitted = self._needs_fit()
        stage: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
        made: dict[str, Any] = {"key_added": key_added, "random_state": self.random_state}
        with run(data, "cluster", copy=copy, image=False, **made, **stage) as work:
            asked = asked_domains(
                work.parts, n_domains, labels_key, unlabeled_category, trust=trust, key_added=key_added, refine=refine
            )
            with_domains = cluster_parts(fitted, work.parts, asked, refine=refine, **made, params=stage)
        self._fitted = with_domains
        return work.result

    @described
    def predict(
        self,
        data: Data,
        *,
        refine: bool = False,
        layer: str | None = None,
        table_key: str | None = None,
        image_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
        copy: bool = False,
    ) -> Data | None:
        """Recognise the domains that :meth:`cluster` found; what is not embedded yet is embedded.

        Domains that strokes named are recognised by what the strokes taught, at several scales and with a spatial prior
        that stops at borders; others by a linear discriminant of the embedding. A section need not have all of them.

        Parameters
        ----------
        data
            Sections in which the domains are to be recognised.

        Returns
        -------
        None, or the changed copy. ``obs["multist_domain"]``, ``obs["multist_confidence"]``,
        ``uns["multist_domain_colors"]``, the parameters in ``uns["multist"]``, and of domains that strokes named
        ``obsm["multist_probability"]``.

        Raises
        ------
        RuntimeError
            If the model is not fitted, or knows no domains.
        KeyError, ValueError
            As for :meth:`embed`.
        """
        from multist.tl.domains._model_steps import embed_parts, recognise_parts

        fitted = self._needs_fit()
        domains = fitted.domains
        if domains is None:
            raise RuntimeError(
                "this model knows no domains: call .cluster(data, n_domains) on the fitted sections first"
            )
        if refine and domains.sources:
            raise ValueError(
                "refine=True is a vote, which erases thin domains; after strokes there is none: leave it out"
            )
        stage: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
        keys = {**stage, "image_key": image_key}
        embedded = all(made_by(get_table(each, table_key), fitted.fusion, key_added) for each in as_list(data))
        image = not embedded and fitted.recipe.histology is not None and not is_embedded(data, table_key)
        with run(data, "predict", key_added=key_added, copy=copy, image=image, instead=_INSTEAD, **keys) as work:
            read: dict[str, Any] = {"layer": layer, "key_added": key_added}
            if not embedded:
                embed_parts(fitted, work.parts, device=self.device, params=keys, **read)
            recognise_parts(fitted, domains, work.parts, refine=refine, params=stage, **read)
        return work.result

    def domains(
        self,
        data: Data,
        n_domains: int | Sequence[int] | Literal["auto"] | None = None,
        *,
        labels_key: str | None = None,
        **options: Any,
    ) -> Data | None:
        """:meth:`cluster` with ``n_domains`` or ``labels_key``, :meth:`predict` without.

        Takes the options of either.
        """
        if n_domains is None and labels_key is None:
            return self.predict(data, **options)
        return self.cluster(data, n_domains, labels_key=labels_key, **options)

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        FileExistsError
            If the folder holds anything but a model.
        """
        self._needs_fit().to_folder(folder)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> MultiST:
        """Read a model that :meth:`save` wrote; on the same kind of device embeddings come out to the same bits.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or it lacks a file.
        ValueError
            If it is truncated, damaged, of another version, or holds anything else.
        """
        from multist.tl.domains._fitted_model import FittedModel

        fitted = FittedModel.from_folder(folder)
        model = cls(fitted.fusion.config, device=device, random_state=fitted.random_state)
        model._fitted = fitted
        return model

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """The parameters of the constructor, as :func:`sklearn.base.clone` asks for them."""
        return {"config": self.config, "device": self.device, "random_state": self.random_state}

    def __repr__(self) -> str:
        if self._fitted is None:
            return f"MultiST(not fitted; device={self.device!r}, random_state={self.random_state})"
        first, *others = self._fitted.facts().items()
        return "\n".join([f"MultiST {first[0]} {first[1]}", *(f"    {name:<8} {told}" for name, told in others)])

    def _repr_html_(self) -> str:
        told = self.get_params() | (self._fitted.facts() if self._fitted else {"fitted on": "nothing yet"})
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td "
            f"style='text-align:left'>{html.escape(str(value))}</td></tr>"
            for name, value in told.items()
        )
        return f"<details open><summary><b>MultiST</b></summary><table>{rows}</table></details>"

    def _needs_fit(self) -> FittedModel:
        if self._fitted is None:
            raise RuntimeError("this model is not fitted: call .fit(data) first, or MultiST.load(folder)")
        return self._fitted
