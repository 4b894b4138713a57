"""Every name this package writes, in one place."""

SPATIAL = "spatial"
"""``obsm``: coordinates of the spots.

Also the prefix of the graph's ``obsp`` keys and the ``uns`` key of Visium images.
"""

HISTOLOGY = "X_histology"
"""``obsm``: one vector per spot that describes its image patch."""

EXPRESSION = "X_pca"
"""``obsm``: principal components of the expression."""

EXPRESSION_FEATURES = ("X_pca", "X_feat")
"""``obsm`` keys taken as expression embedding, in this order, when the user names none."""

CONNECTIVITIES = "spatial_connectivities"

MULTIST = "multist"
"""Default ``key_added``: prefix of all result keys, and the ``uns`` key of the parameters."""

NORMALIZED_SUFFIX = "_normalized"
"""Appended to an image's key by :func:`multist.pp.normalize_histology`."""

STAIN_REFERENCE = "stain_reference"
"""Entry of ``uns["multist"]`` under which a fitted stain reference is stored."""

PSEUDOTIME = "pseudotime"
"""Entry of ``uns["multist"]`` with what belongs to the pseudotime: parameters, roots, PAGA."""

BORDER_SHARPNESS = "border_sharpness"
"""Entry of ``uns["multist"]``: how sharp each border is in either modality.

Its parameters are beside it, ``_params`` appended.
"""

IMAGE_WEIGHT_SUFFIX = "_image_weight"
"""End of the ``obs`` key of the image's weights, whatever the result is called."""

CURVE = "n_domains"
"""Entry of the result's ``uns`` that holds the curve from which the number of domains was chosen."""

GUIDED = "guided"
"""Entry of the result's ``uns``: the classes that strokes named, and how well held-out strokes were recognised."""

TRUE_DOMAIN = "domain"
TRUE_DEPTH = "depth"
INTERACTIONS = "interactions"
LIGREC = "ligrec"
"""Entry of ``uns["multist"]`` with what squidpy's test found."""

ANNOTATION = "annotation"
"""``obs``: what a person drew on the spots, unless another name is given."""

STRUCTURED_SHARE = "structured_share"
"""Entry of ``uns["multist"]``: how much of the expression's variance space structures."""

DOMAIN_SHAPES = "domain_shapes"
"""Entry of ``uns["multist"]``: by name of the shapes of a SpatialData, whose outlines they are."""


def embedding_key(key_added: str = MULTIST) -> str:
    """``obsm`` key of the fused embedding."""
    return f"X_{key_added}"


def expression_entry(key_added: str = EXPRESSION) -> str:
    """``uns`` key of what belongs to the components of the expression; that of the default is scanpy's."""
    return "pca" if key_added == EXPRESSION else key_added


def domain_key(key_added: str = MULTIST) -> str:
    """``obs`` key of the domains; their colours are in ``uns[f"{key}_colors"]``."""
    return f"{key_added}_domain"


def confidence_key(key_added: str = MULTIST) -> str:
    """``obs`` key of the probability of each spot's domain."""
    return f"{key_added}_confidence"


def image_weight_key(key_added: str = MULTIST) -> str:
    """``obs`` key of the weight that the image had at each spot, between 0 and 1."""
    return f"{key_added}{IMAGE_WEIGHT_SUFFIX}"


def probability_key(key_added: str) -> str:
    """``obsm`` key of the probability of each class that strokes named.

    Their names are in ``uns[key_added]["guided"]["classes"]``.
    """
    return f"{key_added}_probability"


def pseudotime_key(key_added: str = MULTIST) -> str:
    """``obs`` key of the pseudotime."""
    return f"{key_added}_pseudotime"


def attention_key(key_added: str) -> str:
    """``obsp`` key of the weights with which each spot's image asked the spots within two steps.

    Rows sum to 1. Absent without an image.
    """
    return f"{key_added}_attention"
