"""Holds and waits are bars from begin to end, with one track for each zone and CPU."""

import numpy as np
import pandas as pd
import pytest

from freehint import figures
from freehint.figures.drawing.palette import THEMES
from freehint.figures.locks import MOST_CPUS
from pictured import walked


def drawn(ax) -> dict:
    """Name of a track -> the (begin, end) of its bars in ms."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    bars = [[(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in track.get_paths()]
            for track in ax.collections]  # fmt: skip
    return {name: np.array(its) for name, its in zip(names, bars, strict=True)}


def test_bars_last_from_begin_to_end():
    locks, waits = walked().locks, walked().waits
    tracks = drawn(figures.lock_timeline(locks, waits))
    rows = {str(zone): bars for zone, bars in locks.groupby("zone", observed=True)}
    rows |= {f"CPU {cpu}": bars for cpu, bars in waits.groupby("cpu", observed=True)}
    assert tracks.keys() == rows.keys() and len(tracks) > 3
    for name, bars in rows.items():
        length = "held_ns" if "held_ns" in bars else "wait_ns"
        ends = bars["since_ns"] + bars[length]
        assert tracks[name] == pytest.approx(np.array([bars["since_ns"], ends]).T / 1e6)


def test_every_cpu_of_many_is_drawn():
    waits = pd.DataFrame({"since_ns": range(9), "wait_ns": range(1, 10), "cpu": range(9)})
    tracks = drawn(figures.lock_timeline(walked().locks.iloc[:0], waits))
    assert [*tracks] == [f"CPU {cpu}" for cpu in range(4, 9)] + ["4 CPUs"]
    assert len(tracks) == MOST_CPUS and sum(map(len, tracks.values())) == 9


@pytest.mark.parametrize("theme", THEMES)
def test_a_dark_page_has_its_own_ink(theme):
    with figures.theme(theme):
        ax = figures.lock_timeline(walked().locks, walked().waits)
    found = {tuple(track.get_facecolor()[0]) for track in ax.collections}
    assert len(found) == 2 and ((1.0,) * 4 in found) == (theme == "dark")
