from . import datasets as datasets
from . import metrics as metrics
from . import pl as pl
from . import pp as pp
from . import tl as tl
from ._report.report import report as report
from ._settings import settings as settings
from .tl.domains._model import MultiST as MultiST

__version__: str
