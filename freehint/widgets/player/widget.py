"""The player: a whole run, sent to the browser once, and played and scrubbed there.

The scripts lie in ``js/`` and are put together to one module, without a build step; it asks no
other host.
"""

import base64
from pathlib import Path

import anywidget
import traitlets

from freehint.config import require
from freehint.figures.drawing.palette import THEMES
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.widgets.player.png import moment_png

FOLDER = Path(__file__).parent  # of the style; the scripts are shared with other widgets
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

    Space plays and pauses; arrows step (with shift by 10), Home and End; + and - zoom.  Two
    players are linked by ``ipywidgets.jslink((a, "moment"), (b, "moment"))``.

    Parameters
    ----------
    trajectory : Trajectory
        Of :func:`freehint.record`.
    moment, playing, speed, selected, zoom, lens
        Where it begins.

    Attributes
    ----------
    moment : int
    playing : bool
    speed : float
        Moments a second.
    selected : int
        pfn of the pinned block, or -1.
    zoom : float
        Of the map, 1 to 32.
    lens : str
        What the map's colours tell: "type", "hints" or "migration".
    payload : bytes
        ``trajectory.to_bytes()``.
    """

    _esm = MODULE
    _css = STYLE
    payload = traitlets.Bytes().tag(sync=True)
    colours = traitlets.Dict(THEMES).tag(sync=True)
    # The browser is ahead of what it has told: an echo of that must not call it back.
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
        """Another run in place of this one; moment, lens, zoom and the rest stay."""
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
