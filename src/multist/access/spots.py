"""Centres and diameters of shapes, labels and points, linked to the rows of a table by instance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multist.access.absent import listed
from multist.access.images import element_scales


def element_spots(element: Any, name: str, instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and diameters of the given instances of an element, in its intrinsic coordinates.

    Parameters
    ----------
    element
        Shapes (circles or polygons), labels or points of a SpatialData.
    name
        Its name, for errors.
    instances
        (n,) Instance of each row, in the order of the rows.

    Returns
    -------
    (n, 2) float64 centres (x, y) and (n,) float64 diameters: of circles their own, of polygons and labels that of
    the circle of equal area, of points NaN.

    Raises
    ------
    ValueError
        An instance is not in the element, or is there twice; the element is neither of these.
    """
    from spatialdata.models import Labels2DModel, PointsModel, ShapesModel, get_model

    model = get_model(element)
    if model is ShapesModel:
        ids, centres, diameters = _shapes(element)
    elif model is Labels2DModel:
        ids, centres, diameters = _labels(element)
    elif model is PointsModel:
        frame = element[["x", "y"]].compute()
        ids, centres, diameters = frame.index, frame.to_numpy(dtype=np.float64), np.full(len(frame), np.nan)
    else:
        raise ValueError(f"region {name!r} is a {model.__name__}; spots must be shapes, 2D labels or points")
    rows = _find(pd.Index(ids), instances, name, background=model is Labels2DModel)
    return centres[rows], diameters[rows]


def apply_affine(matrix: np.ndarray, xy: np.ndarray, diameter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move centres by a (3, 3) affine matrix, and scale diameters by the root of its determinant."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    return xy @ matrix[:2, :2].T + matrix[:2, 2], diameter * scale


def _shapes(frame: Any) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    geometry = frame.geometry
    if "radius" in frame.columns and (geometry.geom_type == "Point").all():
        centres, diameters = geometry, 2 * frame["radius"].to_numpy(dtype=np.float64)
    else:
        centres, diameters = geometry.centroid, 2 * np.sqrt(geometry.area.to_numpy(dtype=np.float64) / np.pi)
    return frame.index, np.column_stack([centres.x, centres.y]).astype(np.float64), diameters


def _labels(element: Any) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Block by block, so that the labels are never in memory as a whole."""
    import dask

    labels = element_scales(element)[0].transpose("y", "x").data
    starts = [np.concatenate([[0], np.cumsum(sizes)[:-1]]) for sizes in labels.chunks]
    moments = dask.delayed(_block_moments)
    tasks = [
        moments(labels.blocks[i, j], int(top), int(left))
        for i, top in enumerate(starts[0])
        for j, left in enumerate(starts[1])
    ]
    total = pd.concat(dask.compute(*tasks)).groupby(level=0).sum().drop(index=0, errors="ignore")  # the background
    area = total["area"].to_numpy(dtype=np.float64)
    centres = total[["x", "y"]].to_numpy(dtype=np.float64) / area[:, None]
    return total.index, centres, 2 * np.sqrt(area / np.pi)


def _block_moments(block: np.ndarray, top: int, left: int) -> pd.DataFrame:
    """Area and summed coordinates (pixel centres at +0.5) of each label of a block."""
    ids, codes = np.unique(block, return_inverse=True)
    codes = codes.ravel()
    y, x = np.indices(block.shape)
    return pd.DataFrame(
        {
            "area": np.bincount(codes),
            "x": np.bincount(codes, weights=x.ravel() + left + 0.5),
            "y": np.bincount(codes, weights=y.ravel() + top + 0.5),
        },
        index=ids,
    )


def _find(ids: pd.Index, instances: np.ndarray, name: str, *, background: bool) -> np.ndarray:
    """Position in ``ids`` of each instance; ``background`` says that 0 is none."""
    if not ids.is_unique:
        raise ValueError(
            f"region {name!r} holds the instance {listed(ids[ids.duplicated()][:1].tolist())} more than once"
        )
    wanted = pd.Index(instances)
    rows = ids.get_indexer(wanted)
    lost = np.flatnonzero(rows < 0)
    if len(lost) == 0:
        return rows
    hint = ""
    if ids.dtype != wanted.dtype and (ids.astype(str).get_indexer(wanted.astype(str)) >= 0).any():
        hint = f"; the table's instances are {wanted.dtype}, the region's index is {ids.dtype}: make them the same"
    if background and 0 in wanted[lost]:
        hint += "; 0 is the background of labels: remove these rows"
    raise ValueError(
        f"{len(lost)} of {len(instances)} rows of the table name instances that region {name!r} does not have "
        f"({listed(wanted[lost[:3]].tolist())}){hint}"
    )
