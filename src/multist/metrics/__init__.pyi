from ._agreement import agreement as agreement
from ._coherence import coherence as coherence
from ._mixing import section_mixing as section_mixing
from ._probe import probe as probe
