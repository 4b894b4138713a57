"""How many threads a sum is divided among, since that decides its last bits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_ASKED = os.environ.get("OMP_NUM_THREADS", "")  # before anybody changes it for child processes, as dask does


@contextmanager
def steady_threads(*libraries: str, limit: int | None = None) -> Iterator[None]:
    """Run the body on as many threads as the machine has cores, or as torch was told to use if these are fewer.

    Put back what was set.

    The kernels that numba compiles for scanpy and squidpy set the number of OpenMP threads for the whole process to
    that of all logical cores, so the same call would give other bits after a call of theirs.

    Parameters
    ----------
    libraries
        Modules that the body uses: those that are loaded only later cannot be held.
    limit
        Number of threads; None takes ``OMP_NUM_THREADS`` as it was when this package was first used, or else the
        physical cores that this process may use, and no more than ``torch.get_num_threads()``.
    """
    for library in libraries:
        import_module(library)
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    n_threads = limit or min(n_cores(), before or sys.maxsize)
    with _pools(len(sys.modules)).limit(limits=n_threads):
        if torch:
            torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _pools(n_modules: int) -> ThreadpoolController:
    """The pools of threads that so many modules have brought; to look for them takes ten milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def n_cores() -> int:
    """Physical cores that this process may use, or ``OMP_NUM_THREADS`` where that was set."""
    from joblib import cpu_count

    asked = _ASKED.split(",")[0]
    return int(asked) if asked.isdigit() and int(asked) else int(cpu_count(only_physical_cores=True))
