"""The player as a widget: a whole run is sent to the browser once and played there.

The scripts in ``js/`` are joined to one module, without a build step; it loads nothing else.
"""

import base64
from pathlib import Path

import anywidget
import traitlets

from freehint.config import require
from freehint.figures.drawing.palette import THEMES
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.widgets.player.png import moment_png

FOLDER = Path(__file__).parent  # It holds the style; the scripts are in the widgets' js/.
JS = FOLDER.parent / "js"
SCRIPTS = (
    "trajectory.js",
    "map.js",
    "lists.js",
    "timeline.js",
    "page.js",
    "block.js",
    "facts.js",
    "player.js",
)
MODULE = "\n".join((JS / name).read_text() for name in SCRIPTS)
STYLE = (FOLDER / "player.css").read_text()
LENSES = ("type", "hints", "migration")


class Player(anywidget.AnyWidget):
    """Map, free lists, zone locks, ring and migration of a run, moment by moment.

    The space bar plays and pauses; arrows step (with shift by 10); Home and End go to the first
    and the last moment; + and - zoom.  ``ipywidgets.jslink((a, "moment"), (b, "moment"))`` links
    two players.

    Parameters
    ----------
    trajectory : Trajectory
        The result of :func:`freehint.record`.
    moment, playing, speed, selected, zoom, lens
        First values of the attributes.

    Attributes
    ----------
    moment : int
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
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(30.0, min=0.1).tag(sync=True)
    selected = traitlets.Int(-1, min=-1).tag(sync=True)
    zoom = traitlets.Float(1.0, min=1.0, max=32.0).tag(sync=True, echo_update=False)
    lens = traitlets.Enum(LENSES, "hints").tag(sync=True)

    def __init__(self, trajectory: Trajectory, **state):
        require(isinstance(trajectory, Trajectory), "trajectory", "be a Trajectory", trajectory)
        self.trajectory = trajectory
        super().__init__(payload=trajectory.to_bytes(), **state)

    def show(self, trajectory: Trajectory) -> None:
        """Show another run in place of this one; moment, lens, zoom and the rest stay."""
        self.trajectory = trajectory
        self.moment = min(self.moment, len(trajectory) - 1)
        self.payload = trajectory.to_bytes()

    @traitlets.validate("moment")
    def _inside(self, proposal):
        return min(proposal["value"], len(self.trajectory) - 1)

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        picture = moment_png(self.trajectory, self.moment)
        return data | {"image/png": base64.b64encode(picture).decode()}, metadata
