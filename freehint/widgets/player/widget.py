"""The player as a widget: a whole run is sent to the browser once and played there.

The scripts in ``js/`` are joined to one module, without a build step; it loads nothing else.
"""

import base64
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from freehint.config import require
from freehint.figures.drawing.palette import THEMES
from freehint.runs.trajectory.opening import opening_ns
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.widgets.player.png import moment_png
from freehint.widgets.player.schedule import JS, SchedulePlayer, is_schedule

FOLDER = Path(__file__).parent
SCRIPTS = (
    "shell.js",
    "events.js",
    "trajectory.js",
    "map.js",
    "lists.js",
    "timeline.js",
    "controls.js",
    "page.js",
    "facts.js",
    "export.js",
    "instant.js",
    "player.js",
)
MODULE = "\n".join((JS / name).read_text() for name in SCRIPTS)
STYLE = (FOLDER / "player.css").read_text()
LENSES = ("type", "hints", "migration")
IN_STEP = ("time_ns", "window_ns", "lens", "zoom")  # what players in step have in common


def first_state(trajectory: Trajectory, state: dict) -> dict:
    """The first moment and time of a player, of which ``state`` may give one."""
    if "moment" in state:
        inside = min(state["moment"], len(trajectory) - 1)
        return {"moment": inside, "time_ns": float(trajectory.arrays["time_ns"][inside])}
    time_ns = float(state.get("time_ns", opening_ns(trajectory)))
    return {"moment": trajectory.moment_at(time_ns), "time_ns": time_ns}


class Player(anywidget.AnyWidget):
    """Map, free lists, zone locks, ring and migration of a run, moment by moment.

    A sentence tells what happens at each instant.  The space bar plays and pauses, arrows step, n
    and p go to the next and the previous event, and ? shows all keys.  The wheel and drags zoom and
    move the map and the time axis.  The player opens where something happens
    (:func:`freehint.runs.trajectory.opening.opening_ns`).  :func:`in_step` links two players.

    A schedule of the explorer has a player of its own: ``Player(schedule)`` is a
    :class:`freehint.widgets.SchedulePlayer`.

    Parameters
    ----------
    trajectory : Trajectory
        The result of :func:`freehint.record`; or a schedule, as SchedulePlayer takes it.
    moment, time_ns, window_ns, playing, speed, selected, zoom, lens
        First values of the attributes.

    Attributes
    ----------
    moment : int
        The last moment that is not later than ``time_ns``.  Setting either moves the other.
    time_ns : float
        The instant that is shown.
    window_ns : list of float
        Begin and end of the time axis; an empty list is the whole run.
    playing : bool
    speed : float
        Moments per second.
    selected : int
        pfn of the pinned block; -1 if there is none.
    zoom : float
        Zoom of the map, 1 to 32.
    lens : str
        The meaning of the map's colours: "type", "hints" or "migration".
    payload : bytes
        ``trajectory.to_bytes()``.
    """

    _esm = MODULE
    _css = STYLE
    payload = traitlets.Bytes().tag(sync=True)
    colours = traitlets.Dict(THEMES).tag(sync=True)
    # The browser is ahead of its messages: an echo of one must not set it back.
    moment = traitlets.Int(0, min=0).tag(sync=True, echo_update=False)
    time_ns = traitlets.Float(0.0, min=0.0).tag(sync=True, echo_update=False)
    window_ns = traitlets.List(traitlets.Float(min=0.0)).tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(30.0, min=0.1).tag(sync=True)
    selected = traitlets.Int(-1, min=-1).tag(sync=True)
    zoom = traitlets.Float(1.0, min=1.0, max=32.0).tag(sync=True, echo_update=False)
    lens = traitlets.Enum(LENSES, "hints").tag(sync=True)

    def __new__(cls, trajectory=None, **state):
        if is_schedule(trajectory):
            return SchedulePlayer(trajectory, **state)
        return super().__new__(cls, trajectory, **state)

    def __init__(self, trajectory: Trajectory, **state):
        require(isinstance(trajectory, Trajectory), "trajectory", "be a Trajectory", trajectory)
        self.trajectory = trajectory
        first = first_state(trajectory, state)
        super().__init__(payload=trajectory.to_bytes(), **state | first)
        self.observe(self._follow_moment, "moment")
        self.observe(self._follow_time, "time_ns")

    def show(self, trajectory: Trajectory) -> None:
        """Show another run in place of this one; the time, lens, zoom and the rest stay."""
        self.trajectory = trajectory
        with self.hold_sync():  # else the page looks up the moment in the run before
            self.moment = trajectory.moment_at(self.time_ns)
            self.payload = trajectory.to_bytes()

    @traitlets.validate("moment")
    def _inside(self, proposal):
        return min(proposal["value"], len(self.trajectory) - 1)

    @traitlets.validate("window_ns")
    def _ends(self, proposal):
        ends = proposal["value"]
        if ends and not (len(ends) == 2 and ends[0] < ends[1]):
            raise traitlets.TraitError(f"window_ns must be [begin, end] or [], got {ends}")
        return ends

    def _is_at(self) -> bool:
        """Is ``moment`` the one to show at ``time_ns``?  Several may have the same time."""
        times = self.trajectory.arrays["time_ns"]
        last = self.trajectory.moment_at(self.time_ns)
        return times[self.moment] == self.time_ns or self.moment == last

    def _follow_moment(self, _change) -> None:
        if not self._is_at():
            self.time_ns = float(self.trajectory.arrays["time_ns"][self.moment])

    def _follow_time(self, _change) -> None:
        if not self._is_at():
            self.moment = self.trajectory.moment_at(self.time_ns)

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        picture = moment_png(self.trajectory, self.moment)
        return data | {"image/png": base64.b64encode(picture).decode()}, metadata


def in_step(one: Player, other: Player) -> ipywidgets.Box:
    """Put two players side by side, and link their time, time axis, lens and zoom.

    They go together by simulated time, whatever moments each of them has.

    Parameters
    ----------
    one, other : Player
        ``other`` takes the values of ``one``.

    Returns
    -------
    Box
        The two players; below each other where the page is narrow.
    """
    for name in IN_STEP:
        setattr(other, name, getattr(one, name))
        ipywidgets.jslink((one, name), (other, name))
    box = ipywidgets.Box([one, other])
    box.add_class("fh-side-by-side")
    return box
