"""A real JupyterLab: from the key press on a knob to the changed picture (make picture-time).

    python -m benchmarks.lab [--turns N]

It turns knobs of the first notebook, and of the bench.  The bench shows a guest of 256 MiB and one
of 4 GiB, and its knob is the seed, so that every run is another one.  The time runs from the key
event's own time stamp to the turn of the display after the player has drawn the new run; with A and
B the knobs are those of B.  ``settled`` is the time from the first key to the last drawing, after
one key and after a burst of six.  ``in the kernel`` is the time to simulate, record and pack alone,
in this process.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import nbformat

import freehint as fh
from freehint.widgets.lab_runs import MOMENTS
from tests.lab import lab_server

FIRST = Path(__file__).parents[1] / "notebooks" / "00_start_here.ipynb"
CELL = """import freehint as fh
from freehint.widgets import Lab
bench = Lab(fh.Scenario({}duration_ns=100_000_000))
bench"""
GUESTS = {"256 MiB": "memory='256MiB', ", "4 GiB": ""}
BURST = 6
KEY_MS = """() => { window.freehintTurn = new Promise((resolve) => {
  let pressed;
  window.addEventListener('keydown', (event) => { pressed = event.timeStamp; },
                          {once: true, capture: true});
  window.addEventListener('freehint:drawn', () => {
    requestAnimationFrame(() => resolve(performance.now() - pressed));
  }, {once: true, capture: true});
}); }"""
SETTLED_MS = """() => {
  window.freehintSettled = {first: null, last: null};
  const seen = window.freehintSettled;
  window.addEventListener('keydown', (event) => { seen.first ??= event.timeStamp; },
                          {capture: true});
  window.addEventListener('freehint:drawn', () => { seen.last = performance.now(); },
                          {capture: true});
}"""


def in_the_kernel(turns: int) -> list:
    """Milliseconds of simulating, recording and packing runs of different seeds."""
    scenario = fh.Scenario(memory=fh.make_memory("256MiB"))
    found = []
    for seed in range(1, turns + 2):  # the first compiles, or reads what was compiled
        begin = time.perf_counter()
        fh.record(scenario.with_values({"seed": seed}), MOMENTS).to_bytes()
        found.append(1000 * (time.perf_counter() - begin))
    return found[1:]


def turns_of(lab, turns: int) -> list:
    """Milliseconds from key to picture, the knob going to and fro."""
    found, canvases = [], ".fh-lab .fh-lab-side:last-child .fh-player canvas"
    lab.turn("seed", "Home")
    for turn in range(turns + 2):
        lab.wait_idle()
        lab.page.wait_for_timeout(900)  # until the figures are there too
        before = lab.shown(canvases)
        lab.page.evaluate(KEY_MS)
        lab.turn("seed", "ArrowRight" if turn % 14 < 7 else "ArrowLeft")
        found.append(lab.page.evaluate("() => window.freehintTurn"))
        assert lab.shown(canvases) != before
    return found[2:]


def settled_ms(lab, keys: int, turns: int) -> list:
    """Milliseconds from the first of some keys to the last drawing that they cause."""
    found = []
    for turn in range(turns):
        lab.page.wait_for_timeout(1500)
        lab.page.evaluate(SETTLED_MS)
        key = "ArrowLeft" if turn % 2 else "ArrowRight"
        lab.turn("seed", key)
        for _ in range(keys - 1):  # as a key that is held down repeats
            lab.page.keyboard.press(key)
        lab.page.wait_for_timeout(2500)
        lab.wait_idle()
        found.append(
            lab.page.evaluate("window.freehintSettled.last - window.freehintSettled.first")
        )
    return found


def bench_ms(server, folder: Path, guest: str, turns: int) -> dict:
    """Times of the bench with a guest."""
    path, rows = folder / "bench.ipynb", {}
    cell = nbformat.v4.new_code_cell(CELL.format(GUESTS[guest]))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    lab = server.open(path)
    lab.run_all()
    lab.page.wait_for_selector(".fh-player[data-ready]")
    lab.scope = ".fh-lab"
    rows[f"{guest}: key to picture, A alone"] = turns_of(lab, turns)
    lab.turn("seed", "Home")
    for keys in (1, BURST):
        rows[f"{guest}: settled, {keys} keys"] = settled_ms(lab, keys, max(4, turns // 4))
    lab.page.get_by_role("button", name="A and B").click()
    lab.page.wait_for_function("document.querySelectorAll('.fh-player').length === 2")
    lab.page.wait_for_timeout(1500)
    rows[f"{guest}: key to picture, A and B"] = turns_of(lab, turns)
    return rows


def start_here_ms(server) -> dict:
    """Medians of knobs of the first notebook, in milliseconds from the key to the picture."""
    lab, found = server.open(FIRST), {}
    lab.run_all()
    lab.scope = ".freehint-threadexample"
    lab.turn("rotate", "End")
    for panel, label in (("threadexample", "consumed"), ("guestknobs", "ring size")):
        lab.scope = f".freehint-{panel}"
        picture = f"{lab.scope} canvas"
        found[label] = lab.median_ms(label, ["ArrowRight", "ArrowLeft"], picture)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    turns = parser.parse_args().turns
    rows = {"in the kernel": in_the_kernel(turns)}
    with tempfile.TemporaryDirectory() as folder:
        with lab_server(Path(folder)) as server:
            first = start_here_ms(server)
            for guest in GUESTS:
                rows |= bench_ms(server, Path(folder), guest, turns)
    for name, median in first.items():
        print(f"first notebook, {name:<10} median {median:6.0f} ms")
    for name, times in rows.items():
        p90 = statistics.quantiles(times, n=10)[-1]
        print(f"{name:<34} median {statistics.median(times):6.0f} ms   90 % below {p90:6.0f} ms")
    print("load average now, 5 min ago, 15 min ago:", *(f"{x:.1f}" for x in os.getloadavg()))


if __name__ == "__main__":
    main()
