"""The bench: knobs of policy, guest, ring, host, migration and park beside the player of the run.

A turn of a knob simulates the edited side again, with the newest values only: a run that a newer
turn overtakes is given up.  Of a large guest the moment that the player shows comes first; the
other moments follow, and the figures when the knobs rest.
"""

import base64
from functools import partial
from html import escape

import ipywidgets as widgets

from freehint.config import InputError
from freehint.runs.scenario import Scenario
from freehint.widgets.knobs.history import History
from freehint.widgets.knobs.share import SIDES, code_of, read_setting
from freehint.widgets.lab_figures import draw_runs, stacked_png
from freehint.widgets.lab_knobs import DEFAULT, Bench
from freehint.widgets.lab_page import LabPage
from freehint.widgets.lab_runs import Simulating
from freehint.widgets.lab_table import run_table, spread_table
from freehint.widgets.later import InSlices, Later, answer_here

SOON_S = 0.002  # so that the other messages in the kernel's queue are read before
QUIET_S = 0.35
# These change or switch off other knobs.
DECIDING = ("policy", "lock", "load", "discard", "migrate", "park")


class Lab(Simulating, widgets.VBox):
    """Knobs beside one run or two, with synchronised players, a table and figures.

    Parameters
    ----------
    scenario : Scenario, optional
        It gives A's first values, and everything that no knob changes.  By default it is v24 on
        the recorded guest of 4 GiB, for 100 ms.
    b : Scenario, optional
        It gives B's first values; the bench then begins with both sides.

    Attributes
    ----------
    knobs : dict
        Label -> Knob; the knobs show the edited side.
    compare, edited : ToggleButtons
        ``compare`` selects the sides to show, ``edited`` the side that the knobs change.
    scenarios, runs, players : dict
        "A", "B" -> Scenario (the last one that could be run), Run, Player.
    spread : Spread or None
        The numbers over seeds, after :meth:`run_seeds` and until the next turn.
    code, sentence : str
        Python that makes the scenarios shown; why the knobs contradict each other, if they do.

    Raises
    ------
    InputError
        A scenario has several policies, or cannot be run.
    """

    def __init__(self, scenario: Scenario | None = None, b: Scenario | None = None):
        scenario = scenario or DEFAULT
        self._take(scenario, b or scenario)
        self.scenarios, self.runs, self._sentences = {}, {}, dict.fromkeys(SIDES, "")
        self._refused, self.spread = "", None
        self._stale, self._again, self._shown_at = set(), False, 0.0
        self._history, self._turning, self._opening = History(), False, False
        self._soon, self._slices = Later(self._begin, SOON_S), InSlices()
        self._quiet = Later(self._rested, QUIET_S, restarts=True)
        self.players = self._first_players()
        self._page = LabPage(self.players, self._benches, b is not None, self)
        self._begun = self._state()
        self.knobs, self.picture = self._page.knobs, self._page.picture
        self.compare, self.edited = self._page.compare, self._page.edited
        self._listen()
        super().__init__([self._page.bar, self._page.desk, self._page.below])
        for name in ("fh-lab", "fh-panel"):
            self.add_class(name)
        self._page.show_sides(self)
        self._show_values()
        self._stale = {*self.shown} - {*self.runs}
        self._draw()
        answer_here(self)

    @classmethod
    def load(cls, file_or_text) -> "Lab":
        """A bench with a setting that the share button made.

        Parameters
        ----------
        file_or_text : str or Path
            The name of a file, or the JSON itself.

        Raises
        ------
        InputError
            It is no setting, or one of another version, or a field or value in it is refused.
        """
        setting = read_setting(file_or_text)
        return cls(setting["A"], setting.get("B"))

    def _take(self, *both) -> None:
        policies = [one.policy for one in both]
        self._benches = {side: Bench(one, policies) for side, one in zip(SIDES, both, strict=True)}
        self._values = {side: bench.values() for side, bench in self._benches.items()}

    def _listen(self) -> None:
        for label, knob in self.knobs.items():
            knob.observe(partial(self._turned, label), names="value")
        self.compare.observe(lambda _: self._show_sides(), names="value")
        self.edited.observe(lambda _: self._show_values(), names="value")

    # Display.

    @property
    def shown(self) -> tuple:
        """The sides that are shown."""
        return self._page.shown

    @property
    def code(self) -> str:
        """Python that makes the scenarios shown."""
        return code_of(self._shared())

    @property
    def sentence(self) -> str:
        """Why the knobs of a side shown contradict each other; empty if they do not."""
        return " ".join(self._sentences[side] for side in self.shown if self._sentences[side])

    def _shared(self) -> dict:
        return {side: self.scenarios[side] for side in self.shown}

    def redraw(self) -> None:
        """Simulate the sides shown again, at once, and draw everything."""
        self._stale = set(self.shown)
        self._draw()

    def _draw(self) -> None:
        for _ in self._work(previews=False):
            pass
        if not self._slices.at_once:  # else they are drawn already
            self._quiet.forget()
            self._history.rest()
            self._draw_figures()

    def _show_sides(self) -> None:
        self._page.show_sides(self)
        if len(self.shown) == 2:
            self.edited.value = "B"
            if "B" not in self.runs:
                if not self._opening:
                    self.copy_a_to_b()
                return
        self._show_values()
        self.spread = None
        self._tell()

    def _show_values(self) -> None:
        """Set the knobs to the edited side's values, and disable knobs without an effect."""
        side = self.edited.value
        self._page.show_edited(side)
        values, bench = self._values[side], self._benches[side]
        applies = bench.applies(values)
        own = bench.policy_values(bench.policies[values["policy"]])
        self._turning = True
        try:
            for label, knob in self.knobs.items():
                knob.offer(values[label])
                knob.value = values[label]
                knob.disabled = label not in applies
                if label in own:
                    knob.default = knob.position(own[label])
        finally:
            self._turning = False

    # Turns of knobs, and taking them back.

    def copy_a_to_b(self) -> None:
        """Give B's knobs the values of A's."""
        self._history.note(self._state(), "copy")
        self._benches["B"], self._values["B"] = self._benches["A"], dict(self._values["A"])
        self._show_values()
        self._ask("B")

    def undo(self) -> None:
        """Take back the last turn of a knob, copy, reset or opened setting."""
        if len(self._history):
            self._restore(self._history.back())

    def reset(self) -> None:
        """Give the knobs the values with which the bench began."""
        self._history.note(self._state(), "reset")
        self._restore(self._begun)

    def open_setting(self, file_or_text) -> None:
        """Open a setting that the share button made; if it is refused, all stays as it is."""
        before = self._state()
        try:
            setting = read_setting(file_or_text)
            self._take(setting["A"], setting.get("B", setting["A"]))
            for bench, values in zip(self._benches.values(), self._values.values(), strict=True):
                bench.guest(values)
        except InputError as error:
            self._benches, self._values = before
            self._refused = str(error)
            self._tell()
            return
        self._history.note(before, "open")
        self._opening = True
        self.compare.value = "A and B" if "B" in setting else "A"
        self._opening = False
        self._restore(self._state())

    def _state(self) -> tuple:
        return dict(self._benches), {side: dict(self._values[side]) for side in SIDES}

    def _restore(self, state: tuple) -> None:
        benches, values = state
        self._benches = dict(benches)
        self._values = {side: dict(values[side]) for side in SIDES}
        self._history.rest()
        self._show_values()
        for side in self.shown:
            self._ask(side)

    def _turned(self, label: str, change) -> None:
        if self._turning:
            return
        side = self.edited.value
        self._history.note(self._state(), (side, label))
        values, bench = self._values[side], self._benches[side]
        values[label] = change["new"]
        if label == "policy":
            values.update(bench.policy_values(bench.policies[change["new"]]))
        self._ask(side)
        if label in DECIDING:
            self._show_values()

    def _ask(self, side: str) -> None:
        self._stale.add(side)
        self.spread, self._refused = None, ""
        self._soon.ask()

    # What is told of the runs.

    def _tell(self) -> None:
        """Update everything but the players: messages, table, share and, soon, the figures."""
        stays = "<small>{} still shows the last run that was possible.</small>"
        said = [(self._refused, "Nothing has changed.")] + [
            (self._sentences[side], stays.format(side)) for side in self.shown
        ]
        self._page.message.value = "".join(
            f"<div class='fh-lab-said'>{escape(why)}<small>{rest}</small></div>"
            for why, rest in said
            if why
        )
        runs = {side: self.runs[side] for side in self.shown if side in self.runs}
        self._page.table.value = spread_table(self.spread) if self.spread else run_table(runs)
        if len(runs) == len(self.shown):
            self._page.actions.share.show(self._shared())
        self._page.actions.undo.disabled = not len(self._history)
        self._quiet.ask()

    def _rested(self) -> None:
        self._history.rest()
        if not self._slices.busy:  # work asks again at its end
            self._draw_figures()

    def _draw_figures(self) -> None:
        runs = {side: self.runs[side] for side in self.shown if side in self.runs}
        self.picture.show(partial(draw_runs, runs))

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        players = [self.players[side] for side in self.shown]
        looks = [p.trajectory for p in players], [p.moment for p in players]
        picture = stacked_png(*looks, self.picture.png)
        return data | {"image/png": base64.b64encode(picture).decode()}, metadata
