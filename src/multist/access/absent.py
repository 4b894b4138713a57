"""What is not there: one wording that says what there is, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from multist import _keys
from multist._words import did_you_mean, shown

if TYPE_CHECKING:
    from anndata import AnnData

_MAKERS = {
    _keys.EXPRESSION: "pp.embed_expression",
    _keys.HISTOLOGY: "pp.embed_histology",
    _keys.CONNECTIVITIES: "pp.spatial_graph",
    _keys.ANNOTATION: "pp.read_labels or pp.labels_from_shapes",
}
_MAKERS_OF_RESULTS: dict[Callable[[str], str], tuple[str, str]] = {
    _keys.domain_key: ("tl.multist_domains", ""),
    _keys.embedding_key: ("tl.multist_domains", ""),
    _keys.confidence_key: ("tl.multist_domains", ""),
    _keys.image_weight_key: ("tl.multist_domains", ""),
    _keys.attention_key: ("tl.multist_domains", ""),
    _keys.probability_key: ("tl.multist_domains", "labels_key="),
    _keys.pseudotime_key: ("tl.pseudotime", ""),
    lambda _: _keys.CURVE: ("tl.multist_domains", "n_domains='auto'"),
    lambda _: _keys.INTERACTIONS: ("tl.interactions", ""),
    lambda _: _keys.LIGREC: ("tl.ligrec", ""),
    lambda _: _keys.BORDER_SHARPNESS: ("tl.border_sharpness", ""),
}
"""What makes the fields of a result, whatever it is called, and with which argument."""


def listed(names: Iterable[Any]) -> str:
    """Names as they are shown in an error."""
    return ", ".join(map(shown, names)) or "none"


def not_found(
    name: str, where: str, found: Iterable[Any], *, argument: str = "", key_added: str = _keys.MULTIST
) -> KeyError:
    """The error of a name that is not there.

    Parameters
    ----------
    name
        What was looked for.
    where
        Where.
    found
        What there is.
    argument
        Argument by which the user named it; empty where nobody did.
    key_added
        Name of the result that it belongs to.
    """
    names = list(found)
    what = f"{argument} {shown(name)}".lstrip()
    return KeyError(f"{what} not found in {where}; found: {listed(names)}{advice(name, names, key_added)}")


def advice(name: str, found: Iterable[Any] = (), key_added: str = _keys.MULTIST) -> str:
    """What to do where ``name`` is not there: run what makes it, or spell it as it is there; empty for neither."""
    maker, argument = _MAKERS.get(name, ""), ""
    if not maker:
        maker, argument = next((by for key, by in _MAKERS_OF_RESULTS.items() if key(key_added) == name), ("", ""))
        given = [argument] * bool(argument) + [f"key_added={key_added!r}"] * (key_added != _keys.MULTIST)
        argument = f", with {' and '.join(given)}" if given else ""
    if maker:
        others = _other_domains(found) if name == _keys.domain_key(key_added) else []
        return f". Run {maker} first{argument}{f', or name {listed(others)}' * bool(others)}"
    meant = did_you_mean(name, found)
    return f".{meant}" if meant else ""


def result_entry(table: AnnData, key: str, name: str) -> Mapping[str, Any]:
    """Entry ``name`` of the result ``key`` in ``uns``; raises KeyError where there is none."""
    held = table.uns.get(key)
    result: Mapping[str, Any] = held if isinstance(held, Mapping) else {}
    if not isinstance(result.get(name), Mapping):
        raise not_found(name, f"uns[{key!r}]", result, key_added=key)
    return result[name]


def _other_domains(columns: Iterable[Any]) -> list[str]:
    """Domains among columns of ``obs`` that were found under another ``key_added``."""
    names, end = set(columns), _keys.domain_key("")
    return sorted(
        name for name in names if str(name).endswith(end) and _keys.confidence_key(str(name).removesuffix(end)) in names
    )
