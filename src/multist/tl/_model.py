"""The model as an object: fitted once, applied to other sections, kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multist import _keys
from multist._threads import steady_threads
from multist.access import Part, as_list, get_table, run
from multist.tl._cluster_domains import Asked, asked_domains, divide_parts
from multist.tl._embedding_fields import learnt_classifier, made_by, write_embedding, write_recognised
from multist.tl._inputs import gather_histology, gather_tissue, is_embedded, takes_image, wanted_image
from multist.tl._recipe import Recipe, fitted_expression

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.cluster.assign import DomainClassifier
    from multist.model.config import MultiSTConfig
    from multist.model.fitted import FusionModel

    Data: TypeAlias = AnnData | SpatialData | Sequence[AnnData | SpatialData]


class MultiST:
    """Fusion of expression, histology and space, fitted to some sections and applied to others.

    :func:`multist.tl.multist_domains` is ``fit`` and ``domains`` in one call; this object is for those who want to embed a
    section that was not there when the model was fitted, or to keep the model.

    Parameters
    ----------
    config
        Constants; None takes the defaults of :class:`multist.tl.MultiSTConfig`.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed. The same input, seed and device give the same bits on the CPU.

    Examples
    --------
    >>> model = mt.MultiST().fit(first)
    >>> model.domains(first, 7)
    >>> model.save("cortex")
    >>> mt.MultiST.load("cortex").domains(second)  # embedded without training, the same seven domains

    References
    ----------
    MultiST, arXiv 2601.13331; the departures from it are explained in the documentation.
    """

    def __init__(self, config: MultiSTConfig | None = None, *, device: str = "auto", random_state: int = 0) -> None:
        from multist.model.config import MultiSTConfig

        self.config = config or MultiSTConfig()
        self.device = device
        self.random_state = random_state
        self._fusion: FusionModel | None = None
        self._recipe: Recipe | None = None
        self._classifier: DomainClassifier | None = None
        self._domain_names: tuple[str, ...] = ()
        self._fitted_on: tuple[str, ...] = ()
        self._n_fitted = 0

    def fit(
        self,
        data: Data,
        *,
        n_domains: int | None = None,
        use_image: bool | Literal["auto"] = "auto",
        use_rep: str | None = None,
        layer: str | None = None,
        table_key: str | None = None,
        image_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
    ) -> MultiST:
        """Train on one or several objects, and embed them.

        Parameters are those of :func:`multist.tl.multist_domains`, and so are the fields that are written, but for the domains
        and their confidence. ``n_domains`` is needed by ``MultiSTConfig.published()`` only.

        Returns
        -------
        The model itself.
        """
        if self.config.losses is not None and n_domains is None:
            raise ValueError("the published method needs a number of domains before training; give n_domains")
        keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image_key": image_key}
        image = wanted_image(data, use_image, table_key)
        with run(data, "fit", key_added=key_added, image=image, **keys) as work:
            self._fit_parts(
                work.parts, n_domains=n_domains or 1, use_image=use_image, use_rep=use_rep, layer=layer, key_added=key_added,
                params=keys,
            )  # fmt: skip
        return self

    def _fit_parts(
        self,
        parts: Sequence[Part],
        *,
        n_domains: int,
        use_image: bool | Literal["auto"],
        use_rep: str | None,
        layer: str | None,
        key_added: str,
        params: Mapping[str, Any],
    ) -> None:
        """The stage of :meth:`fit`; ``params`` are those that named table, sections and image."""
        from multist.model.fitted import FusionModel

        with steady_threads("torch", "sklearn.cluster"):
            expression, key, axes = fitted_expression(parts, use_rep, layer=layer, library_key=params["library_key"])
            tissue = gather_tissue(parts, on_image=True)
            with_image = takes_image(parts, use_image)
            histology = gather_histology(parts, params["image_key"]) if with_image else None
            fusion, embedding = FusionModel.fit(
                expression, histology, tissue.adjacency, tissue.xy, self.config, section=tissue.section, n_domains=n_domains, device=self.device,
                random_state=self.random_state,
            )  # fmt: skip
            own = {
                "expression_key": key, "with_image": fusion.n_image > 0, "device": self.device, "random_state": self.random_state,
                "use_image": use_image, "layer": layer, **params, **asdict(self.config),
            }  # fmt: skip
            write_embedding(parts, fusion, embedding, own, key_added)
            recipe = Recipe.of(parts, key, axes, with_image=fusion.n_image > 0)
        self._fusion, self._recipe, self._classifier = fusion, recipe, None
        self._fitted_on, self._n_fitted = tissue.section_names, len(tissue.xy)

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

        A section gets a graph of its own; its counts are projected on the axes of the fitted ones, its image is brought to
        their stain and described by the same encoder.

        Parameters
        ----------
        data, layer, table_key, image_key, library_key, key_added, copy
            As for :func:`multist.tl.multist_domains`.

        Returns
        -------
        None, or the changed copy. The same fields as by :meth:`fit`, but for the losses.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        KeyError, ValueError
            If a section lacks what the model reads (genes, the embedding it was given, or an image), or that embedding holds principal
            components of its own.
        """
        _, recipe = self._needs_fit()
        keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image_key": image_key}
        image = recipe.histology is not None and not is_embedded(data, table_key)
        with run(data, "embed", key_added=key_added, copy=copy, image=image, **keys) as work:
            self._embed_parts(work.parts, layer=layer, key_added=key_added, params=keys)
        return work.result

    def _embed_parts(
        self, parts: Sequence[Part], *, layer: str | None, key_added: str, params: Mapping[str, Any]
    ) -> None:
        """The stage of :meth:`embed`; ``params`` are those that named table, sections and image."""
        fusion, recipe = self._needs_fit()
        with steady_threads("torch", "sklearn.cluster"):
            tissue = gather_tissue(parts, on_image=True)
            expression = recipe.expression_of(parts, layer, fusion, tissue)
            histology = recipe.histology_of(parts, params["image_key"])
            embedding = fusion.embed(expression, histology, tissue.adjacency, tissue.section, device=self.device)
            own = {
                "expression_key": recipe.expression_key, "with_image": histology is not None, "device": self.device,
                "fitted_on": list(self._fitted_on), "layer": layer, **params, **asdict(self.config),
            }  # fmt: skip
            write_embedding(parts, fusion, embedding, own, key_added)

    def domains(
        self,
        data: Data,
        n_domains: int | Sequence[int] | Literal["auto"] | None = None,
        *,
        labels_key: str | None = None,
        unlabeled_category: str | None = None,
        trust: float = 1.0,
        refine: bool = False,
        layer: str | None = None,
        table_key: str | None = None,
        image_key: str | None = None,
        library_key: str | None = None,
        key_added: str = _keys.MULTIST,
        copy: bool = False,
    ) -> Data | None:
        """Find domains in an embedding, or recognise those that were found before in another section.

        Parameters
        ----------
        data
            With ``n_domains``: what has been fitted or embedded. Without: anything; what has no embedding yet is embedded.
        n_domains
            As for :func:`multist.tl.multist_domains`: the domains that are found are remembered. None takes the remembered
            ones, by a linear discriminant of the embedding; a section need not have all of them. With ``labels_key``, as for
            :func:`multist.tl.multist_domains`.
        labels_key, unlabeled_category, trust, refine, layer, table_key, image_key, library_key, key_added, copy
            As for :func:`multist.tl.multist_domains`.

        Returns
        -------
        None, or the changed copy. ``obs["multist_domain"]``, ``obs["multist_confidence"]`` (of recognised domains: their
        probability), ``uns["multist_domain_colors"]`` and the parameters in ``uns["multist"]``.

        Raises
        ------
        RuntimeError
            If the model is not fitted, or there are no domains to recognise.
        """
        fusion, recipe = self._needs_fit()
        tables = [get_table(each, table_key) for each in as_list(data)]
        embedded = all(made_by(table, fusion, key_added) for table in tables)
        finds = n_domains is not None or labels_key is not None
        if finds and not embedded:
            raise ValueError(
                f"obsm[{_keys.embedding_key(key_added)!r}] is not of this model: run its fit or embed first"
            )
        if not finds and self._classifier is None:
            raise RuntimeError(
                "this model knows no domains: call .domains(data, n_domains) on the fitted sections first"
            )
        keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image_key": image_key}
        image = not embedded and recipe.histology is not None and not is_embedded(data, table_key)
        stage: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
        with run(data, "domains", key_added=key_added, copy=copy, image=image, **keys) as work:
            if finds:
                asked = asked_domains(work.parts, n_domains, labels_key, unlabeled_category)
                self._divide_parts(work.parts, asked, trust=trust, refine=refine, key_added=key_added, params=stage)
            else:
                if not embedded:
                    self._embed_parts(work.parts, layer=layer, key_added=key_added, params=keys)
                self._recognise_parts(work.parts, refine=refine, key_added=key_added, params=stage)
        return work.result

    def _divide_parts(
        self,
        parts: Sequence[Part],
        asked: Asked,
        *,
        trust: float,
        refine: bool,
        key_added: str,
        params: Mapping[str, Any],
    ) -> None:
        """The stage of :meth:`domains` that finds them; they are remembered."""
        divide_parts(
            parts, asked, trust=trust, use_rep=_keys.embedding_key(key_added), refine=refine, device=self.device, key_added=key_added,
            random_state=self.random_state, params=params,
        )  # fmt: skip
        tables = [part.table for part in parts]
        self._classifier = learnt_classifier(tables, key_added)
        self._domain_names = tuple(tables[0].obs[_keys.domain_key(key_added)].cat.categories)

    def _recognise_parts(
        self, parts: Sequence[Part], *, refine: bool, key_added: str, params: Mapping[str, Any]
    ) -> None:
        """The stage of :meth:`domains` that recognises those that are remembered."""
        if self._classifier is None:
            raise RuntimeError("this model knows no domains")
        with steady_threads("torch", "sklearn.cluster"):
            write_recognised(
                parts, self._classifier, self._domain_names, refine=refine, key_added=key_added, params=params
            )

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        FileExistsError
            If the folder holds anything but a model.
        """
        from multist.tl._model_folder import write_model

        self._needs_fit()
        write_model(self, folder)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> MultiST:
        """Read a model that :meth:`save` wrote; on the same kind of device embeddings come out to the same bits.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or it lacks a file.
        ValueError
            If it is truncated, damaged, of a later version, or holds anything else.
        """
        from multist.tl._model_folder import read_model

        return read_model(cls, folder, device)

    def __repr__(self) -> str:
        if self._fusion is None or self._recipe is None:
            return f"MultiST(not fitted; device={self.device!r}, random_state={self.random_state})"
        named = ", ".join(self._fitted_on[:3]) + (", ..." if len(self._fitted_on) > 3 else "")
        read = f"{self._fusion.n_expression} components of {self._recipe.expression_key}"
        if self._recipe.histology is not None:
            read += f" and {self._fusion.n_image} histology features"
        known = "no domains" if self._classifier is None else f"{len(self._classifier.offset)} domains"
        return (
            f"MultiST fitted on {self._n_fitted:,} spots of {len(self._fitted_on)} section(s) ({named})\n"
            f"    reads    {read}\n"
            f"    embeds   {len(self._fusion.center)} dimensions\n"
            f"    knows    {known}"
        )

    def _needs_fit(self) -> tuple[FusionModel, Recipe]:
        if self._fusion is None or self._recipe is None:
            raise RuntimeError("this model is not fitted: call .fit(data) first, or MultiST.load(folder)")
        return self._fusion, self._recipe
