"""Draw the rooms of the package and who imports whom; run this after rooms have moved."""

from __future__ import annotations

import runpy
from collections import Counter, defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
# the imports are read as the test reads them that keeps the rules
RULES = runpy.run_path(str(HERE.parent / "tests" / "test_architecture.py"))
FLOOR_NAMES = ("ground floor", "arrays alone", "the data and the network", "faces", "report")
COLORS = ("#E8E8E8", "#CFE5F3", "#F6E2C4", "#E5D0E3", "#D5E8D4")
# from left to right, so that few arrows cross; rooms that are not named come last
ORDER = ("datasets", "metrics", "tl", "pp", "pl", "model", "access", "cluster", "histology")
GROUND = "_"
WIDTH, HEIGHT, STOREY = 2.1, 0.68, 1.3
# between the middles of rooms on a floor: arrows to the floor of arrays pass between the two above
APART = {1: 2.6, 2: 6.6, 3: 2.6, 4: 2.6}
# the report's arrow to the data passes between two faces
MIDDLE = {4: 4.4}


def room_of(module: str) -> str:
    return RULES["room_of"](module) or GROUND


def topics(room: str) -> str:
    """The folders in a room, a line of small print."""
    folder = RULES["PACKAGE"] / room
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("*.py")))
    return " · ".join(inner) or f"{len(list(folder.glob('*.py')))} files"


def count_imports() -> Counter[tuple[str, str]]:
    """How many imports lead from each room to another."""
    counts: Counter[tuple[str, str]] = Counter()
    for file in RULES["FILES"]:
        here = room_of(RULES["module_of"](file))
        for name in {name for _, name in RULES["imports"](file) if name.startswith("multist.")}:
            there = room_of(name)
            if there != here and file.parent != RULES["PACKAGE"]:
                counts[here, there] += 1
    return counts


def place_rooms() -> dict[str, tuple[float, float]]:
    """Middle of each room: a storey for each floor."""
    storeys: dict[int, list[str]] = defaultdict(list)
    for room in sorted(RULES["FLOORS"], key=lambda room: (ORDER.index(room) if room in ORDER else len(ORDER), room)):
        storeys[RULES["FLOORS"][room]].append(room)
    places = {GROUND: (0.0, 0.0)}
    for floor, rooms in storeys.items():
        for index, room in enumerate(rooms):
            x = MIDDLE.get(floor, 0.0) + (index - (len(rooms) - 1) / 2) * APART[floor]
            places[room] = (x, floor * STOREY)
    return places


def draw_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], count: int) -> None:
    """An arrow between rooms, as thick as there are imports."""
    (x0, y0), (x1, y1) = start, end
    bend = 0.0
    if y0 > y1:
        y0, y1 = y0 - HEIGHT / 2, y1 + HEIGHT / 2
    elif abs(x1 - x0) < 1.5 * APART[3]:
        side = WIDTH / 2 if x1 > x0 else -WIDTH / 2
        x0, x1 = x0 + side, x1 - side
    else:
        y0, y1 = y0 + HEIGHT / 2, y1 + HEIGHT / 2
        bend = -0.25 if x1 > x0 else 0.25
    style = f"arc3,rad={bend}"
    arrow = {"arrowstyle": "-|>", "color": "#555555", "lw": 0.5 + 0.35 * count**0.5, "connectionstyle": style}
    ax.annotate("", (x1, y1), (x0, y0), arrowprops=arrow | {"shrinkA": 0, "shrinkB": 1, "mutation_scale": 9}, zorder=1)


def draw_room(ax: Axes, room: str, x: float, y: float, width: float) -> None:
    box = {"boxstyle": "round,pad=0.02", "fc": COLORS[round(y / STOREY)], "ec": "#444444"}
    ax.add_patch(FancyBboxPatch((x - width / 2, y - HEIGHT / 2), width, HEIGHT, **box, zorder=2))
    middle = {"ha": "center", "va": "center", "zorder": 3}
    if room == GROUND:
        files = sorted(file.stem for file in RULES["PACKAGE"].glob("_[a-z]*.py"))
        ax.text(x, y, "   ".join(files), fontsize=8, **middle)
        return
    ax.text(x, y + 0.09, room.strip("_"), fontsize=11, weight="bold", **middle)
    ax.text(x, y - 0.17, topics(room), fontsize=6, **middle)


def draw(path: Path) -> None:
    """Write the picture."""
    counts, places = count_imports(), place_rooms()
    wide = 2 * max(x for x, _ in places.values()) + WIDTH
    figure, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for (here, there), count in sorted(counts.items()):
        if there != GROUND:  # every room stands on the ground floor
            draw_arrow(ax, places[here], places[there], count)
    for room, (x, y) in places.items():
        draw_room(ax, room, x, y, wide if room == GROUND else WIDTH)
    for floor, name in enumerate(FLOOR_NAMES):
        ax.text(-wide / 2 - 0.2, floor * STOREY, name.replace(" and ", "\nand "), ha="right", va="center", fontsize=8)
    ax.set(
        xlim=(-wide / 2 - 1.6, wide / 2 + 0.1),
        ylim=(-0.6 * HEIGHT, max(RULES["FLOORS"].values()) * STOREY + HEIGHT),
        aspect="equal",
    )
    ax.axis("off")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    draw(HERE / "_static" / "architecture.png")
