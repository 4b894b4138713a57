"""Tables, verdict and plot of what ``scale.py`` measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

BUDGETS = {3_600: (10, 1.5), 100_000: (60, 2.5), 1_000_000: (360, 8)}  # seconds, GB of 2**30 bytes
GROWTH = {"seconds": 2.2, "cpu_seconds": 2.2, "peak_gb": 2.1}  # when the cells double
UNITS = {"seconds": "seconds", "cpu_seconds": "CPU seconds", "peak_gb": "peak GB"}
Run = dict[str, Any]


def finished(runs: list[Run]) -> dict[tuple[str, int], Run]:
    return {(run["method"], run["cells"]): run for run in runs if "seconds" in run}


def growth(run: Run, half: Run | None) -> dict[str, float]:
    """How many times as much as half of the cells took; empty where those were not run."""
    return {key: run[key] / half[key] for key in GROWTH} if half else {}


def grown_too_much(run: Run, half: Run | None) -> dict[str, float]:
    """The part of :func:`growth` that is more than twice the cells may cost."""
    return {key: times for key, times in growth(run, half).items() if times > GROWTH[key]}


def table(runs: list[Run]) -> str:
    """Markdown: a row per method and size; growth against half of the cells, where that was run."""
    head = " | ".join(f"{unit} | x half" for unit in UNITS.values())
    lines = [f"| method | cells | {head} | ARI | domains | budget |", "|" + "---|" * 11]
    good = finished(runs)
    for run in runs:
        start = f"| {run['method']} | {run['cells']:,} |"
        if "seconds" not in run:
            why = run["cut"] if "cut" in run else f"failed: {run['failed']}"
            lines.append(f"{start} {why} |" + " |" * 8)
            continue
        grown = growth(run, good.get((run["method"], run["cells"] // 2)))
        cells = [f"{run[key]:.2f} | {f'{grown[key]:.2f}' if grown else ''}" for key in GROWTH]
        lines.append(f"{start} {' | '.join(cells)} | {run['ari']:.3f} | {run['n_found']} | {verdict(run)} |")
    return "\n".join(lines)


def ratios_table(runs: list[Run]) -> str:
    """Markdown: time and memory of every method for one of ``multist`` on the same cells, and both ARI."""
    lines = ["| method | cells | seconds | CPU seconds | peak GB | ARI | ARI of multist |", "|" + "---|" * 7]
    good = finished(runs)
    for run in runs:
        own = good.get(("multist", run["cells"]))
        if own is None or run["method"] == "multist" or not ("seconds" in run or "limit" in run):
            continue
        if "seconds" in run:
            cells = [f"{run[key] / own[key]:.2f}" for key in UNITS] + [f"{run['ari']:.3f}"]
        else:
            cells = ["", f"> {run['limit'] / own['cpu_seconds']:.1f}", "", ""]
        lines.append(f"| {run['method']} | {run['cells']:,} | {' | '.join(cells)} | {own['ari']:.3f} |")
    return "\n".join(lines)


def verdict(run: Run) -> str:
    if run["method"] != "multist" or run["cells"] not in BUDGETS:
        return ""
    seconds, gigabytes = BUDGETS[run["cells"]]
    kept = run["seconds"] <= seconds and run["peak_gb"] <= gigabytes
    return f"{'kept' if kept else 'BROKEN'}: {seconds} s, {gigabytes} GB"


def stages_table(runs: list[Run]) -> str:
    """Markdown: seconds of each stage, and what is left of the whole."""
    names = list(dict.fromkeys(name for run in runs for name in run.get("stages", {})))
    lines = [f"| method | cells | {' | '.join(names)} | rest |", "|" + "---|" * (len(names) + 3)]
    for run in runs:
        if "stages" in run:
            cells = [f"{run['stages'][name]:.1f}" if name in run["stages"] else "" for name in names]
            rest = run["seconds"] - sum(run["stages"].values())
            lines.append(f"| {run['method']} | {run['cells']:,} | {' | '.join(cells)} | {rest:.1f} |")
    return "\n".join(lines)


def broken(runs: list[Run]) -> list[str]:
    """What ``multist`` promises and did not keep, on standard error too."""
    own = [run for run in runs if run["method"] == "multist"]
    good = finished(own)
    found = []
    for run in own:
        cells = f"{run['cells']:,} cells"
        if "seconds" not in run:
            found.append(f"{cells}: multist {run.get('cut') or 'failed'}")
            continue
        if verdict(run).startswith("BROKEN"):
            found.append(f"{cells}: {run['seconds']:.1f} s, {run['peak_gb']:.2f} GB")
        half = good.get(("multist", run["cells"] // 2)) if run["cells"] // 2 in BUDGETS else None
        found += [
            f"{cells}: {UNITS[key]} grew {times:.2f} times, {GROWTH[key]} allowed"
            for key, times in grown_too_much(run, half).items()
        ]
    for line in found:
        print(line, file=sys.stderr)
    return found


def plot(runs: list[Run], path: Path) -> None:
    """CPU seconds and memory against cells on logarithmic axes, with a slope of one for comparison."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for axis, key, title in zip(axes, ("cpu_seconds", "peak_gb"), ("CPU seconds", "peak memory, GB"), strict=True):
        draw(axis, runs, key)
        axis.set(xlabel="cells", title=title)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw(axis: Any, runs: list[Run], key: str) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

    good = [run for run in runs if key in run]
    axis.set(xscale="log", yscale="log")
    for number, method in enumerate(dict.fromkeys(run["method"] for run in runs)):
        first, look = method == "multist", {"color": f"C{number}", "ms": 5, "zorder": 3 if method == "multist" else 2}
        own = sorted((run["cells"], run[key]) for run in good if run["method"] == method)
        axis.plot(*np.array(own).reshape(-1, 2).T, "o-", label=method, lw=2.4 if first else 1.4, **look)
        cut = [(run["cells"], run["limit"]) for run in runs if run["method"] == method and "limit" in run]
        if key == "cpu_seconds" and cut:
            axis.plot(*np.array(own[-1:] + cut).T, "--", lw=1, **look)
            axis.plot(*np.array(cut).T, "^", mfc="white", **look)
            axis.plot([], [], "^--", mfc="white", color="grey", lw=1, label=f"cut off at {cut[0][1]:g} CPU s")
    sizes = sorted({run["cells"] for run in runs})
    if good:
        lowest, highest = axis.get_ylim()
        most = max((run for run in good if run["method"] == good[0]["method"]), key=lambda run: run["cells"])
        ends = np.array([sizes[0], most["cells"]])
        axis.plot(ends, most[key] * ends / most["cells"], ":", color="grey", label="linear", zorder=1)
        axis.set_ylim(lowest, highest)  # the line alone must not stretch the axis
    axis.set_xticks([n for n in sizes if n / 2 not in sizes])
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
