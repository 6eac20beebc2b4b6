"""How the bench simulates: what is shown first, in slices that a newer turn overtakes."""

import time
from functools import partial

import ipywidgets as widgets
import numpy as np

from freehint.config import InputError
from freehint.runs.trajectory.recorder import SMALL_GUEST
from freehint.runs.trajectory.trajectory import record_guest, recording
from freehint.widgets.knobs.seeds import Spread, seed_rows
from freehint.widgets.knobs.share import SIDES
from freehint.widgets.player.widget import IN_STEP, Player

MOMENTS = 100
FIRST_LOOKS = 10  # moments of a preview, besides the one shown
STARVED_S = 0.5  # a longer drag sees a result in between


class Simulating:
    """The part of the bench that simulates its stale sides, and several seeds."""

    def _first_players(self) -> dict:
        bench, values = self._benches["A"], self._values["A"]
        seen = record_guest(*bench.guest(values), MOMENTS)
        self.scenarios["A"], self.runs["A"] = bench.scenario(values), seen.run
        players = {side: Player(seen, moment=_mid_walk(seen)) for side in SIDES}
        self._links = [
            widgets.jslink(*((players[side], name) for side in SIDES))
            for name in (*IN_STEP, "selected")
        ]
        return players

    def _begin(self) -> None:
        if not self._slices.busy:
            self._shown_at = time.monotonic()
        starved = time.monotonic() - self._shown_at > STARVED_S
        if self._slices.busy and starved and self._previewing:
            self._again = True  # let a long drag see something first
            return
        self._slices.begin(self._work(previews=not self._slices.at_once))

    def _work(self, previews: bool):
        """Simulate the stale sides: first what is shown, then every moment."""
        self._again, self._previewing = False, previews
        for preview in (True, False) if previews else (False,):
            for side in sorted(self._stale):
                yield from self._side(side, preview) if preview else self._whole(side)
            self._shown_at, self._previewing = time.monotonic(), False
            self._tell()
            if self._again:
                self._soon.ask()
                return

    def _whole(self, side: str):
        self._stale.discard(side)  # at the beginning, for a turn meanwhile makes it stale again
        finished = False
        try:
            yield from self._side(side, preview=False)
            finished = True
        finally:
            if not finished:
                self._stale.add(side)

    def _side(self, side: str, preview: bool):
        bench, values, player = self._benches[side], dict(self._values[side]), self.players[side]
        try:
            scenario, guest = bench.guest(values)
            if preview and guest[0].nr_pages <= SMALL_GUEST:
                return
            only = _first_looks(player.moment) if preview else None
            for seen in recording(scenario, guest, MOMENTS, only=only):  # noqa: B007
                yield
        except InputError as error:
            self._sentences[side] = str(error)
            return
        self.scenarios[side], self.runs[side] = bench.scenario(values), seen.run
        self._sentences[side] = ""
        player.show(seen)

    def run_seeds(self) -> None:
        """Run each side shown with several seeds, and tell how far the numbers spread."""
        self._soon.forget()  # the seeds begin with what waits
        self._slices.begin(self._seeds())

    def _seeds(self):
        yield from self._work(previews=False)  # a turn may be under way
        if self.sentence:
            return
        guests = {
            side: partial(self._benches[side].guest, dict(self._values[side]))
            for side in self.shown
        }
        for rows in seed_rows(guests, self._values["A"]["seed"]):
            self._page.table.value = f"<div class='fh-diff-note'>{len(rows)} runs ..</div>"
            yield
        self.spread = Spread(rows)
        self._tell()


def _mid_walk(seen) -> int:
    """The moment in the middle of the first walk; without a walk the middle of the run."""
    walks, times = seen.run.walks, seen.arrays["time_ns"]
    middle = times[-1] / 2
    if len(walks):
        begin, end = walks.iloc[0][["begin_ns", "end_ns"]]
        middle = (begin + (end if end >= 0 else times[-1])) / 2
    return int(np.abs(times - middle).argmin())


def _first_looks(moment: int) -> list:
    """The moments of a preview: a few over the whole run, and the one shown."""
    return sorted({*np.linspace(0, MOMENTS - 1, FIRST_LOOKS).round().astype(int), moment})
