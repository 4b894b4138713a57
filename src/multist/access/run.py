"""One call of a face: the user's object is resolved once, and what was found is written once, at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
import pandas as pd
from anndata import AnnData

from multist import _keys
from multist._numbers import is_whole
from multist._settings import logger
from multist.access.absent import listed
from multist.access.draft import Draft
from multist.access.images import array_image, element_image
from multist.access.record import SpatialRecord
from multist.access.resolve import resolve
from multist.access.shapes import is_outlines, made_shapes
from multist.access.stale import forget_dependents, replaced
from multist.access.tables import LIBRARY_KEY, copy_data, get_table, is_spatialdata, libraries_of
from multist.access.transaction import restored_on_error, undisturbed
from multist.access.visium import section_images
from multist.access.write import Fields, check_names, write_image, write_table

if TYPE_CHECKING:
    import scipy.sparse as sp
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData

    from multist.access.record import SectionImage

ONE_AT_A_TIME = (
    "data is a list of {} objects, and here it is one: call this for each, or concatenate them and name the column of "
    "their sections by library_key"
)
"""What is wrong with a list of so many objects."""
SCHEMA = 1
"""Number of the form in which results lie in ``uns``; it goes up when a reader has to know."""

_OF_THIS_PACKAGE = {"schema", "versions"}  # of which each entry of results has one, and those of others none
_VERSIONS = ("multist", "torch", "scanpy", "squidpy", "anndata", "spatialdata", "numpy", "scipy", "scikit-learn")
_installed_version = cache(version)  # which reads a file each time
_INTERRUPTED = "interrupted: the data is as it was before, and nothing of this run was written"


@dataclass
class _Decisions:
    """What was said while a run goes on, by the function whose step it belongs to."""

    function: str
    lines: dict[str, list[str]]


_decisions: ContextVar[_Decisions | None] = ContextVar("decisions", default=None)


def _said_once(record: logging.LogRecord) -> bool:
    """Keep what is said while a run goes on, whether or not it is shown, and say it once."""
    said = _decisions.get()
    if said is None or record.levelno < logging.INFO or not getattr(record, "decision", True):
        return True
    line = record.getMessage()
    if any(line in lines for lines in said.lines.values()):
        return False
    said.lines[said.function].append(line)
    return True


logger.addFilter(_said_once)


@contextmanager
def decisions_of(function: str) -> Iterator[None]:
    """What is said meanwhile is kept as a decision of ``function``, whose step this is, whoever takes it.

    Decisions of an earlier such step go, even if nothing is said now.
    """
    said = _decisions.get()
    if said is None:
        raise RuntimeError("there is no run whose step this could be")
    caller, said.function = said.function, function
    said.lines.setdefault(function, [])
    try:
        yield
    finally:
        said.function = caller


@dataclass(eq=False)
class Part:
    """One of the objects that were given.

    Attributes
    ----------
    data
        The user's object, only to be read.
    table
        Its table as it will be; stages read it, and :meth:`write` writes to it.
    graph
        Its spatial graph, once it has been read or made.
    """

    data: AnnData | SpatialData
    table: AnnData
    graph: sp.csr_matrix | None = None
    _record: SpatialRecord | None = None
    _options: Mapping[str, Any] = field(default_factory=dict)
    _elements: dict[str, Any] = field(default_factory=dict)
    _shapes: dict[str, Any] = field(default_factory=dict)
    _stale: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def record(self) -> SpatialRecord:
        """The spots and images of the object."""
        if self._record is None:
            raise RuntimeError("this run was started without coordinates (spatial=False)")
        return self._record

    def without_normalized(self) -> SpatialRecord:
        """The record with the images as they were taken; the object is read once more where some are normalised."""
        images = [image for image in self.record.images if image is not None]
        if not any(image.key.endswith(_keys.NORMALIZED_SUFFIX) for image in images):
            return self.record
        keys = {**self._options, "image": True, "prefer_normalized": False}
        return replace(resolve(self.data, **keys), table=self.table)

    def write(self, **fields: Unpack[Fields]) -> None:
        """Take results, see :func:`write_table`; what was made from a field that is new now goes."""
        draft = cast("Draft", self.table)
        if _keys.SPATIAL in fields.get("obsm", {}) and _keys.SPATIAL in draft.obsm:
            raise ValueError(
                f"obsm[{_keys.SPATIAL!r}] holds the coordinates, which would be lost: give another key_added"
            )
        self._forget(replaced(draft, fields))
        if _keys.CONNECTIVITIES in fields.get("obsp", {}):
            self.graph = None
        write_table(draft, fields)

    def write_images(
        self, record: SpatialRecord, pyramids: Sequence[Sequence[Any]], key_added: str | None = None
    ) -> tuple[SectionImage | None, ...]:
        """Take an image made from each section's, see :func:`write_image`; the record then has these.

        Returns
        -------
        The new image of each section, None where it is held in memory.
        """
        before = self._image_names()
        keys = write_image(self.data, record, pyramids, key_added, self._elements)
        self._forget([("images", key) for key in dict.fromkeys(keys) if key in before])
        images = tuple(self._image(key, name) for key, name in zip(keys, record.section_names, strict=True))
        self._record = replace(record, images=images)
        return tuple(image if key in self._elements else None for key, image in zip(keys, images, strict=True))

    def write_outlines(
        self, record: SpatialRecord, frames: Mapping[int, GeoDataFrame], keys: Mapping[int, str]
    ) -> None:
        """Take outlines of domains as shapes, see :func:`made_shapes`."""
        self._shapes |= made_shapes(self.data, record, frames, keys)

    def _image_names(self) -> set[str]:
        """Of a SpatialData all images, of an AnnData those of its sections."""
        if is_spatialdata(self.data):
            return set(cast("Any", self.data).images)
        sections = libraries_of(self.table, needed=False).values()
        return {name for section in sections for name in section_images(section)}

    def _forget(self, new: list[tuple[str, ...]]) -> None:
        """Remove what was made from fields that are new; outlines only where they are still those that were written."""
        for place, why in forget_dependents(cast("Draft", self.table), new).items():
            if place[0] != "shapes":
                self._stale[place] = why
            elif not is_spatialdata(self.data):
                self._stale[place] = why.replace("is removed", "is out of date")
            elif is_outlines(cast("Any", self.data).shapes.get(place[1])):
                self._shapes[place[1]] = None
                self._stale[place] = why

    def _image(self, key: str, section: str) -> SectionImage:
        if key in self._elements:
            return element_image(key, self._elements[key])
        return array_image(key, libraries_of(self.table, needed=False)[section]["images"][key])

    def forgotten(self) -> dict[str, None]:
        """What was removed because it was made from what is new, and not made again."""
        lines: dict[str, None] = {}
        for (group, *path), why in self._stale.items():
            held: Any = {} if group == "shapes" else getattr(self.table, group)
            for name in path[:-1]:
                held = held.get(name, {})
            if path[-1] not in held:
                lines[why] = None
        return lines


class Run:
    """What one call works on.

    Attributes
    ----------
    parts
        The objects that were given.
    result
        What the face returns: None, or after the run the changed copy.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts, self.result = parts, cast("Any", None)

    @property
    def part(self) -> Part:
        """The one object of a face that takes one; raises TypeError where a list was given."""
        if len(self.parts) > 1:
            raise TypeError(ONE_AT_A_TIME.format(len(self.parts)))
        return self.parts[0]


@contextmanager
def run(
    data: Any,
    name: str,
    *,
    key_added: str = _keys.MULTIST,
    copy: bool = False,
    spatial: bool = True,
    random_state: int = 0,
    **keys: Any,
) -> Iterator[Run]:
    """Resolve the user's object once; at the end write all that the body found, or nothing if it fails.

    The body reads and writes ``run.part`` or ``run.parts``, whose tables look like the user's. What the logger
    ``multist`` says meanwhile, at the level of information or above, are the decisions: they go to
    ``uns[key_added]["decisions"]``, under ``name`` or as :func:`decisions_of` says, and to ``uns[key_added]["schema"]``
    the number of this form; ``uns[key_added]["library_key"]`` keeps which column was given to tell the sections.

    Parameters
    ----------
    data
        AnnData or SpatialData, or a list of them.
    name
        Name of the function that is called.
    key_added
        Entry of ``uns`` for decisions.
    copy
        Write to a copy, which is made at the end and is ``run.result`` then.
    spatial
        False needs no coordinates.
    random_state
        Seed of what the body does, to be checked.
    **keys
        What :func:`multist.access.resolve` takes; ``table_key`` and ``library_key`` only without
        coordinates.

    Raises
    ------
    TypeError, ValueError
        A list is empty or names an object twice, ``key_added`` cannot be stored or is an entry of somebody else's,
        a table is a view of one on disk, the seed is none; and what :func:`multist.access.resolve` raises.
    """
    check_seed(random_state)
    check_names([key_added], (), "uns")
    objects = [_copied_if_lazy(each, copy=copy) for each in as_list(data)]
    said = _Decisions(name, {name: []})
    token, written = _decisions.set(said), False
    try:
        work = Run([open_part(each, spatial=spatial, **keys) for each in objects])
        for part in work.parts:
            _refuse_foreign(part.table, key_added)
            if not copy:
                _refuse_view_on_disk(part.table)
        yield work
        if not copy and any(part.table.is_view for part in work.parts):
            logger.info("data is a view of another AnnData, which stays as it is: data becomes a copy with the results")
        for part in work.parts:
            _conclude(part, said, key_added, keys.get(LIBRARY_KEY))
        targets = [copy_data(part.data) if copy else part.data for part in work.parts]
        with undisturbed():
            _commit(work.parts, targets, keys.get("table_key"))
            written = True
        if copy:
            work.result = targets if isinstance(data, list | tuple) else targets[0]
    except KeyboardInterrupt as error:
        if not written:
            logger.warning(_INTERRUPTED)
            error.add_note(_INTERRUPTED)
        raise
    finally:
        _decisions.reset(token)


def as_list(data: Any) -> list[Any]:
    """The objects that were given.

    Raises
    ------
    ValueError
        If a list is empty or names an object twice.
    """
    objects = list(data) if isinstance(data, list | tuple) else [data]
    if not objects:
        raise ValueError("data is an empty list; give at least one AnnData or SpatialData")
    if len({id(each) for each in objects}) < len(objects):
        raise ValueError("data lists the same object twice")
    return objects


def check_seed(random_state: Any) -> None:
    """Raise an error if it is no seed that every generator takes.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is negative or has more than 32 bits.
    """
    if not is_whole(random_state):
        raise TypeError(f"random_state must be a whole number; got {random_state!r}")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state must be from 0 to {2**32 - 1}; got {random_state}")


def check_whole(least: int = 1, **numbers: Any) -> None:
    """Raise a ValueError that names the argument which is no whole number, or less than ``least``."""
    for name, value in numbers.items():
        if not is_whole(value) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    return {name: _installed_version(name) for name in _VERSIONS}


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as ``.h5ad`` and ``.zarr`` can store them.

    None becomes the text ``"None"``: before 0.12, anndata reads nothing of a file that holds a None.
    """
    storable = {name: list(value) if isinstance(value, range | tuple) else value for name, value in params.items()}
    return {name: "None" if value is None else value for name, value in storable.items()}


def _copied_if_lazy(data: Any, *, copy: bool) -> Any:
    """The object; of a lazy one that is to be copied the copy, as only that can be read."""
    lazy = isinstance(data, AnnData) and not isinstance(data.obs, pd.DataFrame)
    return copy_data(data) if copy and lazy else data


def open_part(data: Any, *, spatial: bool = True, **keys: Any) -> Part:
    """Resolve an object to be worked on; nothing is written to it but by :func:`run`."""
    if not spatial:
        return Part(data, cast("AnnData", Draft(get_table(data, keys.get("table_key")))))
    record = resolve(data, **keys)
    table = cast("AnnData", Draft(record.table))
    return Part(data, table, _record=replace(record, table=table), _options=keys)


def _refuse_foreign(table: AnnData, key_added: str) -> None:
    """Raise a ValueError if the entry for results, or for decisions, is something else."""
    held = table.uns.get(key_added, {})
    decisions = held.get("decisions", {}) if isinstance(held, Mapping) else {}
    for name, value in ((f"uns[{key_added!r}]", held), (f"uns[{key_added!r}]['decisions']", decisions)):
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{name} is of type {type(value).__name__} and not of this package, and would be "
                f"lost: rename it, or give another key_added"
            )
    if key_added != _keys.MULTIST and held and not _OF_THIS_PACKAGE & set(held):
        raise ValueError(
            f"uns[{key_added!r}] holds {listed(held)} and is not of this package; results would mix with it: give "
            f"another key_added"
        )


def _refuse_view_on_disk(table: AnnData) -> None:
    """Raise a ValueError if a table is a view of a file: results make a copy of a view, and anndata copies no file."""
    if table.isbacked and table.is_view:
        raise ValueError(
            "data is a view of a table on disk (backed), to which no results can be written; load it by .to_memory() "
            "first"
        )


def _conclude(part: Part, said: _Decisions, key_added: str, library_key: str | None) -> None:
    """Say what was removed, and keep all that was said, and which column told the sections."""
    for line in part.forgotten():
        logger.info("%s", line)
    before = part.table.uns.get(key_added, {}).get("decisions", {})
    new = {function: np.array(lines, str) for function, lines in said.lines.items()}
    sections = {} if library_key is None else {LIBRARY_KEY: library_key}
    part.write(uns={key_added: {"decisions": {**before, **new}, "schema": SCHEMA, **sections}})


def _commit(parts: Sequence[Part], targets: Sequence[Any], table_key: str | None) -> None:
    with ExitStack() as stack:
        for part, target in zip(parts, targets, strict=True):
            table = get_table(target, table_key)
            stack.enter_context(restored_on_error(table, target))
            cast("Draft", part.table).write_to(table)
            for key, element in part._elements.items():
                cast("Any", target).images[key] = element
            for key, element in part._shapes.items():
                shapes = cast("Any", target).shapes
                if key in shapes:
                    del shapes[key]  # spatialdata warns of what it overwrites
                if element is not None:
                    shapes[key] = element
