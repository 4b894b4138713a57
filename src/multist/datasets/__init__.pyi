from ._dlpfc import dlpfc as dlpfc
from ._layered_tissue import layered_tissue as layered_tissue
from ._tenx import breast_cancer as breast_cancer
from ._tenx import olfactory_bulb as olfactory_bulb
