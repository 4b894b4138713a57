"""Tables and the picture of the benchmark of guided domains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report import markdown, number

SCORES = {"ari": "ARI", "balanced": "balanced", "ece": "calibration error"}


def tables(runs: list[dict[str, Any]]) -> str:
    """Each part's table under a line that says what it holds."""
    frame = pd.DataFrame(runs)
    frame["kind"] = frame["section"].str.split("/").str[0]
    wanted = {
        "People's strokes": ("people", ["section", "input"], SCORES),
        "People's strokes, mean of each folder": ("people", ["kind", "input"], SCORES),
        "Random spots of each class": ("random", ["kind", "input", "strokes"], SCORES),
        "One stroke in ten drawn wrong": ("wrong", ["kind", "input", "strokes", "wrong", "trust"], SCORES),
        "Ten more spots": ("suggested", ["kind", "input", "strokes"], SCORES),
        "A class without a stroke, and one further domain asked for": (
            "unnamed",
            ["section", "input", "strokes"],
            {"precision": "precision", "recall": "recall", "ari": "ARI", "forced": "ARI without asking"},
        ),
        "The next section": ("next", ["section", "strokes", "how"], SCORES),
        "Time": ("people random time", ["section", "input", "n_obs", "n_classes"], {"seconds": "seconds"}),
    }
    found = []
    for title, (parts, keys, columns) in wanted.items():
        rows = frame[frame["part"].isin(parts.split())]
        if not rows.empty:
            # sections count alike, whatever the number of draws
            means = rows.groupby([*keys, "section"] if "section" not in keys else keys, sort=False)[[*columns]].mean()
            means = means.groupby(keys, sort=False).mean()
            lines = [
                [*map(str, np.atleast_1d(np.array(key, dtype=object))), *(number(row[column], 3) for column in columns)]
                for key, row in means.iterrows()
            ]
            found.append(f"**{title}**\n\n{markdown([*keys, *columns.values()], lines)}")
    return "\n\n".join(found)


def draw_reliability(runs: list[dict[str, Any]], path: Path) -> None:
    """Accuracy against confidence in ten bins, all runs of a kind together."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    frame = pd.DataFrame(runs)
    shown = {"people's strokes": frame[frame["part"] == "people"]}
    shown |= {
        f"{count} random spots a class": rows for count, rows in frame[frame["part"] == "random"].groupby("strokes")
    }
    for title, rows in shown.items():
        if not rows.empty:
            count, confidence, right = np.sum(rows["reliability"].tolist(), axis=0)
            there = count >= 20
            axes.plot(confidence[there] / count[there], right[there] / count[there], marker="o", ms=4, label=title)
    axes.set(xlabel="confidence", ylabel="share of spots that are right", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
