"""Scores of spatial domains."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "agreement": "multist.metrics._agreement",
        "coherence": "multist.metrics._coherence",
        "probe": "multist.metrics._probe",
        "section_mixing": "multist.metrics._mixing",
    },
)
