"""Tables of many runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

COLUMNS = {
    "ari": "ARI",
    "nmi": "NMI",
    "homogeneity": "homogeneity",
    "pas": "PAS",
    "chaos": "CHAOS",
    "image_weight": "image weight",
    "seconds_in_all": "seconds",
    "peak_mb": "peak MB",
}
DIGITS = {"seconds_in_all": 1, "peak_mb": 0}


def scores_table(runs: list[dict[str, Any]]) -> str:
    """Markdown: a row per section and variant, mean ± standard deviation over the seeds."""
    frame = pd.DataFrame(runs)
    rows = []
    for (section, title), group in frame.groupby(["section", "title"], sort=False):
        cells = [_mean_sd(group[column], DIGITS.get(column, 3)) for column in COLUMNS]
        rows.append([section, title, str(len(group)), *cells])
    return _markdown(["section", "variant", "seeds", *COLUMNS.values()], rows)


def recall_table(runs: list[dict[str, Any]]) -> str:
    """Markdown: share of each known domain that is found, before and after lone spots joined their surroundings."""
    rows = []
    with_recall = [run for run in runs if "recall_before" in run]
    for section in dict.fromkeys(run["section"] for run in with_recall):
        own = [run for run in with_recall if run["section"] == section]
        before, after = (pd.DataFrame([run[key] for run in own]) for key in ("recall_before", "recall"))
        for domain in after:
            change = (after[domain] - before[domain]).mean()
            size = own[0]["domain_sizes"][domain]
            means = [_mean_sd(table[domain], 3) for table in (before, after)]
            rows.append([section, str(domain), str(size), *means, f"{change:+.3f}"])
    return _markdown(["section", "domain", "spots", "recall before refinement", "after", "change"], rows)


def below_floor(runs: list[dict[str, Any]], floor: str, default: str) -> list[str]:
    """Sections where the default's mean ARI is below the floor's of the same runs."""
    frame = pd.DataFrame(runs)
    means = frame.pivot_table(index="section", columns="variant", values="ari", aggfunc="mean", sort=False)
    if not {floor, default} <= set(means):
        return []
    worse: Callable[[str], bool] = lambda section: bool(means.at[section, default] < means.at[section, floor])
    return [f"{s}: {means.at[s, default]:.3f} < {means.at[s, floor]:.3f}" for s in means.index if worse(s)]


def _mean_sd(values: pd.Series, digits: int) -> str:
    values = values.dropna()
    if values.empty:
        return "-"
    # of the population: seeds 0 to N-1 are all there are, and one seed gives 0 rather than nothing
    return f"{values.mean():.{digits}f} ± {values.std(ddof=0):.{digits}f}"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
