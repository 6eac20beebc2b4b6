"""The widgets of the bench and their places on the page."""

from dataclasses import MISSING

import ipywidgets as widgets

from freehint.widgets.knobs.bar import Actions, bar_of, button
from freehint.widgets.knobs.knob import Knob, knob_help, knob_of, with_positions
from freehint.widgets.knobs.share import SIDES
from freehint.widgets.knobs.turns import Turns
from freehint.widgets.lab_knobs import DEFAULT, GROUPS
from freehint.widgets.shown import Shown


class LabPage:
    """The widgets of the bench; what they do is the bench's.

    Parameters
    ----------
    players : dict
        "A", "B" -> Player.
    benches : dict
        "A", "B" -> Bench.
    two : bool
        Whether the bench begins with both sides.
    acts : Lab
        Its methods are called by the buttons.
    """

    def __init__(self, players: dict, benches: dict, two: bool, acts):
        self.players = players
        self.knobs = {}
        self.panel = self._groups(benches)
        self.turns = Turns(knobs=list(self.knobs.values()))
        options = ("A", "A and B")
        self.compare = widgets.ToggleButtons(
            options=options, value=options[two], description="show"
        )
        self.edited = widgets.ToggleButtons(options=SIDES, description="knobs of")
        self.copy = button("copy A to B", acts.copy_a_to_b)
        self.actions = Actions(acts.undo, acts.reset, acts.run_seeds, acts.open_setting)
        self.bar = bar_of(self.compare, self.edited, self.copy, *self.actions.widgets)
        self.message, self.table = widgets.HTML(), widgets.HTML()
        self.picture = Shown()
        self.names = {side: widgets.HTML() for side in SIDES}
        self.sides = {side: _classed(widgets.VBox(), "fh-lab-side") for side in SIDES}
        self.beside = _classed(widgets.Box(), "fh-lab-players")
        self.message.add_class("fh-lab-message")
        right = _classed(widgets.Box([self.message, self.table, self.beside]), "fh-lab-right")
        self.desk = _classed(widgets.Box([self.panel, right]), "fh-lab-desk")
        self.below = _classed(widgets.Box([self.picture]), "fh-lab-below")

    def _groups(self, benches: dict) -> widgets.Box:
        groups = []
        for group, knobs in GROUPS.items():
            for label, (field, options) in knobs.items():
                self.knobs[label] = _knob(field, label, options, benches)
            title = widgets.HTML(f"<h4>{group}</h4>")
            groups.append(widgets.VBox([title, *(self.knobs[label] for label in knobs)]))
            groups[-1].add_class("fh-lab-group")
        panel = _classed(widgets.Box([knob_help(), *groups]), "fh-lab-knobs")
        return _classed(panel, "fh-knobs")

    @property
    def shown(self) -> tuple:
        """The sides that are shown."""
        return SIDES if self.compare.value != "A" else SIDES[:1]

    def show_sides(self, lab: widgets.VBox) -> None:
        """Lay out one side or two."""
        two = len(self.shown) == 2
        lab.add_class("fh-lab-two" if two else "fh-lab-one")
        lab.remove_class("fh-lab-one" if two else "fh-lab-two")
        self.beside.children = [self.sides[side] for side in self.shown]
        for side in SIDES:
            player = self.players[side]
            self.sides[side].children = [self.names[side], player] if two else [player]
        self.edited.disabled = self.copy.disabled = not two
        if not two:
            self.edited.value = "A"

    def show_edited(self, side: str) -> None:
        """Say which side the knobs change."""
        for one in SIDES:
            told = "the knobs change this one" if one == side else ""
            self.names[one].value = f"<div class='fh-lab-name'><b>{one}</b>{told}</div>"


def _classed(box, name: str):
    box.add_class(name)
    return box


def _knob(field: str, label: str, options, benches: dict) -> Knob:
    values = [bench.values()[label] for bench in benches.values()]
    policies = {name: one for bench in benches.values() for name, one in bench.policies.items()}
    if label == "policy":
        options = tuple(policies)
    own = [benches["A"].policy_values(policy) for policy in policies.values()]
    positions = values + [brought[label] for brought in own if label in brought]
    default = DEFAULT.duration_ns if label == "run" else MISSING
    return knob_of(field, label, with_positions(options, positions), values[0], default)
