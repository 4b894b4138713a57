"""Tables of many runs, as wide as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

SCORES = {"ari": "ARI", "nmi": "NMI", "probe": "probe", "balanced": "balanced", "image_gain": "image gain"}
COSTS = {
    "homogeneity": "homogeneity",
    "pas": "PAS",
    "chaos": "CHAOS",
    "image_weight": "image weight",
    "seconds_in_all": "seconds",
    "peak_mb": "peak MB",
}
DIGITS = {"seconds_in_all": 1, "peak_mb": 0}


def runs_table(runs: list[dict[str, Any]], columns: Mapping[str, str]) -> str:
    """Markdown: a row per section and variant, and the mean of every variant that ran on all sections."""
    frame = pd.DataFrame(runs).reindex(columns=["section", "title", *columns])
    rows = []
    for (section, title), group in frame.groupby(["section", "title"], sort=False):
        rows.append([section, title, *(mean_sd(group[column], DIGITS.get(column, 3)) for column in columns)])
    n_sections = frame["section"].nunique()
    for title, group in frame.groupby("title", sort=False):
        if group["section"].nunique() == n_sections > 1:
            means = group.groupby("section")[[*columns]].mean().mean()
            rows.append([f"mean of {n_sections}", title, *(number(means[c], DIGITS.get(c, 3)) for c in columns)])
    return markdown(["section", "variant", *columns.values()], rows)


def inputs_table(sections: dict[str, dict[str, Any]], runs: list[dict[str, Any]], default: str) -> str:
    """Markdown: what a linear classifier reads from the inputs, from the embedding, and the gain."""
    with_inputs = {name: shared["inputs"] for name, shared in sections.items() if "inputs" in shared}
    names = list(dict.fromkeys(name for found in with_inputs.values() for name in found))
    rows = []
    for section, found in with_inputs.items():
        own = pd.Series([run["probe"] for run in runs if run["section"] == section and run["variant"] == default])
        more = "-" if own.empty else number(own.mean() - found["best"], 3, sign=True)
        rows.append([section, *(number(found.get(name), 3) for name in names), mean_sd(own, 3), more])
    return markdown(["section", *names, "default", "more"], rows)


def recall_table(runs: list[dict[str, Any]], default: str, refined: str) -> str:
    """Markdown: share of each known domain that is found, without and with refinement."""
    rows = []
    for section in dict.fromkeys(run["section"] for run in runs):
        own = {v: [r for r in runs if r["section"] == section and r["variant"] == v] for v in (default, refined)}
        if not all(own.values()):
            continue
        before, after = (pd.DataFrame([run["recall"] for run in own[variant]]) for variant in (default, refined))
        for domain in before:
            change = number((after[domain] - before[domain]).mean(), 3, sign=True)
            size = own[default][0]["domain_sizes"][domain]
            rows.append([section, str(domain), str(size), *(mean_sd(t[domain], 3) for t in (before, after)), change])
    return markdown(["section", "domain", "spots", "recall", "refined", "change"], rows)


def below_floor(runs: list[dict[str, Any]], floor: str, default: str) -> list[str]:
    """Sections where the default's mean ARI is below the floor's of the same runs."""
    frame = pd.DataFrame(runs)
    means = frame.pivot_table(index="section", columns="variant", values="ari", aggfunc="mean", sort=False)
    if not {floor, default} <= set(means):
        return []
    return [
        f"{s}: {d:.3f} < {f:.3f}" for s, d, f in zip(means.index, means[default], means[floor], strict=True) if d < f
    ]


def mean_sd(values: pd.Series, digits: int) -> str:
    values = values.dropna()
    if values.empty:
        return "-"
    # of the population: seeds 0 to N-1 are all there are, and one seed gives 0 rather than nothing
    return f"{number(values.mean(), digits)} ± {number(values.std(ddof=0), digits)}"


def number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """Without the zero before the point, which no score needs."""
    if value is None or pd.isna(value):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("0.", ".", 1 if abs(value) < 1 else 0)


def markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
