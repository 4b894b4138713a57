from ._attention import attention as attention
from ._borders import borders as borders
from ._domains import domains as domains
from ._histology import histology as histology
from ._modality_weights import modality_weights as modality_weights
from ._n_domains import n_domains as n_domains
from ._pseudotime import pseudotime as pseudotime
