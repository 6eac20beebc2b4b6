"""The bench: knobs of policy, guest, ring, host and migration beside the player of the run.

A turn of a knob simulates the edited side again, with the newest values only.  The player's new
run goes to the browser first; the figures follow when the knobs rest.
"""

import base64
from functools import partial
from html import escape

import ipywidgets as widgets

from freehint.config import InputError
from freehint.runs.scenario import Scenario
from freehint.runs.trajectory.trajectory import record
from freehint.widgets.lab_code import LabCode
from freehint.widgets.lab_figures import draw_runs, stacked_png
from freehint.widgets.lab_knobs import GROUPS, Bench, with_positions
from freehint.widgets.lab_table import difference_table
from freehint.widgets.lab_turns import LabTurns
from freehint.widgets.later import Later
from freehint.widgets.knobs.knob import Knob, knob_help, knob_of
from freehint.widgets.player.widget import Player
from freehint.widgets.scenario_code import scenario_code

SIDES = ("A", "B")
MOMENTS = 100
FIRST_SHOWN = 0.4  # share of the run at which hints were given and some were reused
SOON_S = 0.002  # so that the other messages in the kernel's queue are read before
QUIET_S = 0.35
DECIDING = ("policy", "lock", "load", "migrate")  # These change or switch off other knobs.


class Lab(widgets.VBox):
    """Knobs beside one run or two, with synchronised players, a table and figures.

    Parameters
    ----------
    scenario : Scenario, optional
        It gives A's first values, and everything that no knob changes.  By default it is a guest
        of 256 MiB with v24.
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
    code, sentence : str
        Python that makes the scenarios shown; why the knobs contradict each other, if they do.

    Raises
    ------
    InputError
        A scenario has several policies, or cannot be run.
    """

    def __init__(self, scenario: Scenario | None = None, b: Scenario | None = None):
        scenario = scenario or Scenario(memory="256MiB")
        both = (scenario, b or scenario)
        self._benches = {
            side: Bench(one, [other.policy for other in both])
            for side, one in zip(SIDES, both, strict=True)
        }
        self._values = {side: bench.values() for side, bench in self._benches.items()}
        self.scenarios, self.runs, self._sentences = {}, {}, dict.fromkeys(SIDES, "")
        self._stale = set()
        self._soon = Later(self._simulate_stale, SOON_S)
        self._quiet = Later(self._draw_figures, QUIET_S, restarts=True)
        self.players = self._first_players()
        self._make_knobs()
        self._make_bar(two=b is not None)
        self._make_rest()
        super().__init__([self._bar, self._desk, self._below])
        self.add_class("fh-lab")
        self._compared()
        self.redraw()

    # Parts.

    def _first_players(self) -> dict:
        seen = self._record("A")
        moment = round(FIRST_SHOWN * len(seen))
        players = {side: Player(seen, moment=moment) for side in SIDES}
        self._links = [
            widgets.jslink(*((players[side], name) for side in SIDES))
            for name in ("moment", "selected")
        ]
        return players

    def _make_knobs(self) -> None:
        self.knobs, groups, self._turning = {}, [], False
        for group, knobs in GROUPS.items():
            for label, (field, options) in knobs.items():
                self.knobs[label] = self._knob(field, label, options)
            title = widgets.HTML(f"<h4>{group}</h4>")
            groups.append(widgets.VBox([title, *(self.knobs[label] for label in knobs)]))
            groups[-1].add_class("fh-lab-group")
        self._turns = LabTurns(knobs=list(self.knobs.values()))
        self._panel = widgets.Box([knob_help(), *groups])
        self._panel.add_class("fh-lab-knobs")
        self._panel.add_class("fh-knobs")

    def _knob(self, field: str, label: str, options) -> Knob:
        values = [self._values[side][label] for side in SIDES]
        policies = self._benches["A"].policies | self._benches["B"].policies
        if label == "policy":
            options = tuple(policies)
        own = [self._benches["A"].policy_values(policy) for policy in policies.values()]
        positions = values + [brought[label] for brought in own if label in brought]
        knob = knob_of(field, label, with_positions(options, positions), values[0])
        knob.observe(partial(self._turned, label), names="value")
        return knob

    def _make_bar(self, two: bool) -> None:
        options = ("A", "A and B")
        self.compare = widgets.ToggleButtons(
            options=options, value=options[two], description="show"
        )
        self.edited = widgets.ToggleButtons(options=SIDES, description="knobs of")
        self._copy = widgets.Button(description="copy A to B")
        self._code = LabCode()
        for button in (self.compare, self.edited):
            button.style.description_width = button.style.button_width = "auto"
        self.compare.observe(lambda _: self._show_sides(), names="value")
        self.edited.observe(lambda _: self._show_values(), names="value")
        self._copy.on_click(lambda _: self.copy_a_to_b())
        self._code.observe(lambda _: self._quiet.ask(), names="dark")
        self._bar = widgets.Box([self.compare, self.edited, self._copy, self._code])
        self._bar.add_class("fh-lab-bar")
        self._message = widgets.HTML()
        self._message.add_class("fh-lab-message")

    def _make_rest(self) -> None:
        self._names = {side: widgets.HTML() for side in SIDES}
        self._sides = {}
        for side in SIDES:
            self._sides[side] = widgets.VBox([self._names[side], self.players[side]])
            self._sides[side].add_class("fh-lab-side")
        self._players = widgets.Box()
        self._players.add_class("fh-lab-players")
        self._right = widgets.Box([self._message, self._players])
        self._right.add_class("fh-lab-right")
        self._desk = widgets.Box([self._panel, self._right])
        self._desk.add_class("fh-lab-desk")
        self._table, self.picture = widgets.HTML(), widgets.Image(format="png")
        self._below = widgets.Box([self._table, self.picture])
        self._below.add_class("fh-lab-below")

    # Display.

    @property
    def shown(self) -> tuple:
        """The sides that are shown."""
        return SIDES if self.compare.value != "A" else SIDES[:1]

    @property
    def code(self) -> str:
        """Python that makes the scenarios shown."""
        lines = [scenario_code(self.scenarios[side], side.lower()) for side in self.shown]
        return "\n".join(["import freehint as fh", "", *lines, ""])

    @property
    def sentence(self) -> str:
        """Why the knobs of a side shown contradict each other; empty if they do not."""
        return " ".join(self._sentences[side] for side in self.shown if self._sentences[side])

    def redraw(self) -> None:
        """Simulate the sides shown again, at once, and draw everything."""
        self._stale = set(self.shown)
        self._simulate_stale(figures_too=True)

    def copy_a_to_b(self) -> None:
        """Give B's knobs the values of A's."""
        self._benches["B"], self._values["B"] = self._benches["A"], dict(self._values["A"])
        self._show_values()
        self._ask("B")

    def _compared(self) -> None:
        two = len(self.shown) == 2
        self.add_class("fh-lab-two" if two else "fh-lab-one")
        self.remove_class("fh-lab-one" if two else "fh-lab-two")
        self._players.children = [self._sides[side] for side in self.shown]
        for side in SIDES:
            self._sides[side].children = (
                [self._names[side], self.players[side]] if two else [self.players[side]]
            )
        self.edited.disabled = self._copy.disabled = not two
        if not two:
            self.edited.value = "A"
        self._show_values()

    def _show_sides(self) -> None:
        self._compared()
        if len(self.shown) == 1:
            self._tell()
            return
        self.edited.value = "B"
        if "B" not in self.runs:
            self.copy_a_to_b()
        else:
            self._tell()

    def _show_values(self) -> None:
        """Set the knobs to the edited side's values, and disable knobs without an effect."""
        side = self.edited.value
        for one in SIDES:
            told = "the knobs change this one" if one == side else ""
            self._names[one].value = f"<div class='fh-lab-name'><b>{one}</b>{told}</div>"
        values, bench = self._values[side], self._benches[side]
        applies = bench.applies(values)
        own = bench.policy_values(bench.policies[values["policy"]])
        self._turning = True
        try:
            for label, knob in self.knobs.items():
                knob.value = values[label]
                knob.disabled = label not in applies
                if label in own:
                    knob.default = knob.position(own[label])
        finally:
            self._turning = False

    # Turns of knobs.

    def _turned(self, label: str, change) -> None:
        if self._turning:
            return
        side = self.edited.value
        values, bench = self._values[side], self._benches[side]
        values[label] = change["new"]
        if label == "policy":
            values.update(bench.policy_values(bench.policies[change["new"]]))
        self._ask(side)
        if label in DECIDING:
            self._show_values()

    def _ask(self, side: str) -> None:
        self._stale.add(side)
        self._soon.ask()

    def _record(self, side: str):
        bench, values = self._benches[side], self._values[side]
        seen = record(bench.loaded(values), MOMENTS)
        self.scenarios[side], self.runs[side] = bench.scenario(values), seen.run
        return seen

    def _simulate_stale(self, figures_too: bool = False) -> None:
        for side in sorted(self._stale):
            try:
                self.players[side].show(self._record(side))
                self._sentences[side] = ""
            except InputError as error:
                self._sentences[side] = str(error)
        self._stale.clear()
        self._tell()
        if figures_too:
            self._draw_figures()

    def _tell(self) -> None:
        """Update everything but the players: messages, table, code and, soon, the figures."""
        said = [
            f"<div class='fh-lab-said'>{escape(self._sentences[side])}<small>{side} still shows the"
            " last run that was possible.</small></div>"
            for side in self.shown
            if self._sentences[side]
        ]
        self._message.value = "".join(said)
        runs = {side: self.runs[side] for side in self.shown}
        self._table.value = difference_table(runs)
        self._code.code = self._code_or_why()
        self._quiet.ask()

    def _code_or_why(self) -> str:
        try:
            return self.code
        except InputError as error:
            return f"# {error}\n"

    def _draw_figures(self) -> None:
        runs = {side: self.runs[side] for side in self.shown}
        self.picture.value = draw_runs(runs, self._code.dark)._repr_png_()

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        players = [self.players[side] for side in self.shown]
        below = draw_runs({side: self.runs[side] for side in self.shown})._repr_png_()
        picture = stacked_png([p.trajectory for p in players], [p.moment for p in players], below)
        return data | {"image/png": base64.b64encode(picture).decode()}, metadata
