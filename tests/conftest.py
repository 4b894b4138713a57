"""What several rooms' tests share."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

REAL_DATA = Path(os.environ.get("MULTIST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def messages_are_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The package's messages do not pass through the root logger, where ``caplog`` listens."""
    logger = logging.getLogger("multist")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines fail, so that whatever passes needs no network; this machine may be spoken to."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    here = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "", None, socket.gethostname()}

    def connect_here(self: socket.socket, address: Any) -> None:
        # a datagram socket sends nothing when it is connected
        if (
            self.family in (socket.AF_INET, socket.AF_INET6)
            and self.type == socket.SOCK_STREAM
            and address[0] not in here
        ):
            raise ConnectionRefusedError(f"tests have no network, and {address[0]} is another machine")
        connect(self, address)

    def look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in here:
            raise socket.gaierror(socket.EAI_NONAME, f"tests have no network, and {name} is another machine")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sections with truth; point ``MULTIST_DATA`` to another one."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real sections at {REAL_DATA}; set MULTIST_DATA to their folder")
    return REAL_DATA


@pytest.fixture(scope="session")
def made_tissue() -> tuple[SpatialData, AnnData]:
    """A small section with a known truth in both forms; shared by all tests, so take a copy of it from the fixtures below."""
    from multist.datasets import layered_tissue

    size = {"n_spots": 400, "n_genes": 300, "image_size": 800}
    return layered_tissue(**size), layered_tissue(**size, format="anndata")


@pytest.fixture
def tissue(made_tissue: tuple[SpatialData, AnnData]) -> SpatialData:
    """Seven domains on 400 spots with 300 genes and an 800 px image, nothing computed yet."""
    from multist.access import copy_data

    return copy_data(made_tissue[0])


@pytest.fixture
def tissue_table(made_tissue: tuple[SpatialData, AnnData]) -> AnnData:
    """The same as an AnnData in Visium's form."""
    return made_tissue[1].copy()
