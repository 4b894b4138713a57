"""Large sections in pieces: tiles of neighbouring spots, each with all that the network reads around it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Tile(NamedTuple):
    """A piece of a section.

    Attributes
    ----------
    spots
        (m,) int64 rows of the section: first the tile's own, then its halo from the inside outwards.
    n_own
        Number of the tile's own.
    adjacency
        (m, m) neighbourhoods among these spots. Those of the outermost ring are left out: nothing that is kept depends on
        them.
    """

    spots: np.ndarray
    n_own: int
    adjacency: sp.csr_matrix


class Tiler:
    """Cuts tiles with halos out of one section.

    A halo reaches as many steps on the graph as the network is deep, so that what the network makes of a tile's own spots is
    what it makes of them in the whole section.

    Parameters
    ----------
    adjacency
        (n, n) sparse neighbourhoods: row i names those whose features reach i.
    n_hops
        Depth of the network.
    """

    def __init__(self, adjacency: sp.csr_matrix, n_hops: int) -> None:
        self._adjacency = sp.csr_matrix(adjacency)
        self._n_hops = n_hops
        # place of each spot in the tile that is being cut, -1 elsewhere; cleaned after each, so that a cut is linear in the tile
        self._place = np.full(self._adjacency.shape[0], -1, dtype=np.int32)

    def cut(self, own: np.ndarray) -> Tile:
        """The tile of the ``own`` (m,) rows, which need not touch each other."""
        place, rings, n_found = self._place, [own], len(own)
        place[own] = np.arange(len(own))
        for _ in range(self._n_hops):
            reached = self._adjacency[rings[-1]].indices
            ring = np.unique(reached[place[reached] < 0])
            if not len(ring):
                break
            place[ring] = np.arange(n_found, n_found + len(ring))
            rings.append(ring)
            n_found += len(ring)
        spots = np.concatenate(rings).astype(np.int64)
        complete = len(spots) - (len(rings[-1]) if len(rings) > self._n_hops else 0)
        rows = self._adjacency[spots[:complete]]
        indptr = np.concatenate([rows.indptr, np.full(len(spots) - complete, rows.indptr[-1], rows.indptr.dtype)])
        local = sp.csr_matrix((rows.data, place[rows.indices], indptr), shape=(len(spots), len(spots)))
        place[spots] = -1
        return Tile(spots, len(own), local)


def divide_space(xy: np.ndarray, most: int) -> list[np.ndarray]:
    """Rows of tiles, as few as can be of at most ``most`` spots and of the same size: cut along the longer side, again and again.

    Parameters
    ----------
    xy
        (n, 2) coordinates. Where sections overlap, a tile holds spots of several; that costs a little, and changes nothing.
    most
        Spots in a tile at most.
    """
    waiting, tiles = [np.arange(len(xy))], []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= most:
            tiles.append(rows)
            continue
        place = xy[rows]
        n_tiles = -(-len(rows) // most)
        half = len(rows) * (n_tiles // 2) // n_tiles
        order = np.argpartition(place[:, np.ptp(place, axis=0).argmax()], half)
        waiting += [np.sort(rows[order[half:]]), np.sort(rows[order[:half]])]
    return tiles
