"""The player of a schedule of the explorer: each step in words, and the small guest at it."""

import itertools
import json
from pathlib import Path

import anywidget
import traitlets

from freehint.config import InputError, require
from freehint.figures.drawing.palette import THEMES
from freehint.safety.exhaust.explore import Exploration
from freehint.safety.told.moments import Moments

FOLDER = Path(__file__).parent
JS = FOLDER.parent / "js"
MODULE = "\n".join((JS / name).read_text() for name in ("shell.js", "schedule.js"))
STYLE = "\n".join((FOLDER / name).read_text() for name in ("player.css", "schedule.css"))
STAND_IN = (JS / "stand_in.js").read_text()
START = """
render({model: standIn(STATE), el: document.getElementById("NAME")});
"""
_numbers = itertools.count()


def is_schedule(shown) -> bool:
    """Is this what a player of schedules shows?"""
    return isinstance(shown, str | Exploration)


class SchedulePlayer(anywidget.AnyWidget):
    """The steps of a schedule in words, and the small guest's pages, lists and ring at each.

    The space bar plays and pauses, arrows step, Home and End go to the ends, and ? shows all keys.
    A violation at the last step is marked red, with the property that does not hold.  In a rendered
    report it plays without a kernel.

    Parameters
    ----------
    schedule : str or Exploration
        What ``freehint explore`` printed for ``--replay``; or the result of
        :func:`freehint.explore`, if it has a violation.
    policy : Policy, optional
        The policy of a schedule that begins with "own".
    step, playing, speed
        First values of the attributes.

    Attributes
    ----------
    schedule : str
    step : int
        The number of steps taken.
    playing : bool
    speed : float
        Steps per second.

    Raises
    ------
    InputError
        The schedule cannot be played, or there is none.
    """

    _esm = MODULE
    _css = STYLE
    payload = traitlets.Unicode().tag(sync=True)
    colours = traitlets.Dict(THEMES).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(1.0, min=0.1).tag(sync=True)

    def __init__(self, schedule, policy=None, **state):
        require(is_schedule(schedule), "schedule", "be a schedule or an Exploration", schedule)
        if isinstance(schedule, Exploration):
            if not schedule.violation:
                raise InputError("this exploration found no violation, so it has no schedule")
            schedule, policy = schedule.schedule, schedule.case.chosen
        moments = Moments(schedule, policy)
        self.schedule, self.last = schedule, len(moments.moments) - 1
        super().__init__(payload=json.dumps(moments.payload()), **state)

    @traitlets.validate("step")
    def _inside(self, proposal):
        return min(proposal["value"], self.last)

    def html(self) -> str:
        """A piece of HTML that plays from here, and needs no network."""
        state = {name: getattr(self, name) for name in ("payload", "colours", "step", "speed")}
        name = f"freehint-schedule-{next(_numbers)}"
        # "</script>" in a text would end the script.
        told = json.dumps(state | {"playing": False}).replace("</", "<\\/")
        start = START.replace("NAME", name).replace("STATE", told)
        module = MODULE.replace("export default {render};", "")
        return (
            f'<style>{STYLE}</style>\n<div id="{name}"></div>\n'
            f'<script type="module">{module}\n{STAND_IN}{start}</script>\n'
        )

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return data | {"text/html": self.html()}, metadata
