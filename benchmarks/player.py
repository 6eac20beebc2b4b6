"""The player in headless Chromium: moments per second, latency of scrubbing, bytes, heap.

    python -m benchmarks.player [--moments N]

``save_player`` makes the page from the default scenario's 4 GiB guest.  Latency is the time from
the key press (the event's own time) to the end of the drawing, and to the next turn of the display.
Moments per second are the turns of the display that drew a new moment, while it plays at 120/s.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

import freehint as fh
from freehint.widgets import save_player

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
             "--enable-precise-memory-info", "--js-flags=--expose-gc"]  # fmt: skip
KEY_MS = """() => new Promise((resolve) => {
  const root = document.querySelector('.fh-player');
  let pressed;
  root.addEventListener('keydown', (event) => { pressed = event.timeStamp; },
                        {once: true, capture: true});
  root.addEventListener('freehint:drawn', () => {
    const drawn = performance.now() - pressed;
    requestAnimationFrame(() => resolve([drawn, performance.now() - pressed]));
  }, {once: true});
})"""
PLAY = """(seconds) => new Promise((resolve) => {
  const root = document.querySelector('.fh-player'), begin = performance.now();
  let turns = 0, drawn = 0, fresh = false, first = 0;
  root.addEventListener('freehint:drawn', () => { fresh = true; });
  const turn = (now) => {
    first ||= now;
    turns++;
    if (fresh) drawn++;
    fresh = false;
    if (now - first < seconds * 1000) requestAnimationFrame(turn);
    else resolve([1000 * drawn / (now - first), 1000 * turns / (now - first)]);
  };
  requestAnimationFrame(turn);
})"""
DRAW_MS = """() => {
  const root = document.querySelector('.fh-player'), scrubber = root.querySelector('.fh-scrubber');
  const took = [];
  for (let i = 0; i < 300; i++) {
    scrubber.value = ((i * 7919) % 600) / 599 * scrubber.max;
    const begin = performance.now();
    scrubber.dispatchEvent(new Event('input'));
    took.push(performance.now() - begin);
  }
  return took;
}"""


def recorded(moments: int):
    """The trajectory, and what recording cost: (trajectory, simulate s, record s)."""
    scenario = fh.Scenario()
    fh.record(scenario, 2)  # compiles
    fh.simulate(scenario)
    begin = time.perf_counter()
    fh.simulate(scenario)
    middle = time.perf_counter()
    trajectory = fh.record(scenario, moments)
    return trajectory, middle - begin, time.perf_counter() - middle


def measure(page) -> dict:
    """What the browser needs."""
    keys = []
    page.focus(".fh-player")
    page.evaluate("document.querySelector('.fh-scrubber').dispatchEvent(new Event('input'))")
    for turn in range(60):
        key = ("ArrowRight", "Shift+ArrowRight", "ArrowLeft")[turn % 3]
        page.evaluate(f"() => {{ window.freehintKey = ({KEY_MS})(); }}")
        page.keyboard.press(key)
        keys.append(page.evaluate("window.freehintKey"))
        page.wait_for_timeout(30)
    draws = page.evaluate(DRAW_MS)
    page.select_option("select[aria-label='moments per second']", "120")
    page.focus(".fh-player")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    played, turns = page.evaluate(PLAY, 4)
    heap = page.evaluate("() => { window.gc(); return performance.memory.usedJSHeapSize; }")
    return {
        "scrub: key to drawn, median ms": statistics.median(k[0] for k in keys),
        "scrub: key to next turn of the display, median ms": statistics.median(k[1] for k in keys),
        "any moment to any other, median ms": statistics.median(draws),
        "any moment to any other, 95 % below ms": sorted(draws)[int(0.95 * len(draws))],
        "moments drawn a second while playing": played,
        "turns of the display a second": turns,
        "JS heap, MB": heap / 1e6,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=600)
    moments = parser.parse_args().moments
    trajectory, simulate_s, record_s = recorded(moments)
    rows = {
        "simulate, s": simulate_s,
        f"record {moments} moments, s": record_s,
        "recording a moment, ms": 1000 * (record_s - simulate_s) / moments,
        "payload, bytes": len(trajectory.to_bytes()),
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = save_player(trajectory, Path(folder) / "player.html")
        rows["page, bytes"] = path.stat().st_size
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for width, height in ((1280, 900), (1920, 1080)):
            page = browser.new_page(viewport={"width": width, "height": height})
            begin = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector(".fh-player[data-ready]")
            rows[f"{width}: page to first moment, s"] = time.perf_counter() - begin
            rows |= {f"{width}: {name}": value for name, value in measure(page).items()}
            page.close()
        browser.close()
    for name, value in rows.items():
        print(f"{name:<62} {value:>12,.2f}")


if __name__ == "__main__":
    main()
