"""The player as an HTML page, or as a piece of one, that plays from disk without a network."""

import base64
import itertools
import json
from pathlib import Path

from freehint.figures.drawing.palette import THEMES
from freehint.files import whole_file
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.widgets.player.widget import JS, MODULE, STYLE

_numbers = itertools.count()

STAND_IN = (JS / "stand_in.js").read_text()
START = """
const state = STATE;
state.payload = Uint8Array.from(atob(document.getElementById("ID-data").textContent.trim()),
                                (c) => c.charCodeAt(0));
render({model: standIn(state), el: document.getElementById("ID")});
"""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>TITLE</title>
<style>body { margin: 1.5vw; }</style>
FRAGMENT
</html>
"""


def player_html(trajectory: Trajectory, **state) -> str:
    """A piece of HTML that holds the player with all its data and needs no network.

    Parameters
    ----------
    trajectory : Trajectory
    state
        First values of moment, playing, speed, selected, zoom and lens.

    Returns
    -------
    str
        HTML for a page, or for ``IPython.display.HTML`` in a notebook that will be rendered.
    """
    start = {"moment": 0, "playing": False, "speed": 30, "selected": -1, "zoom": 1, "lens": "hints"}
    start |= state | {"colours": THEMES}
    name = f"freehint-player-{next(_numbers)}"
    module = MODULE.replace("export default {render};", "")
    script = STAND_IN + START.replace("STATE", json.dumps(start)).replace("ID", name)
    data = base64.b64encode(trajectory.to_bytes()).decode()
    return (
        f"<style>{STYLE}</style>\n"
        f'<div id="{name}"></div>\n'
        f'<script type="text/plain" id="{name}-data">{data}</script>\n'
        f'<script type="module">{module}\n{script}</script>\n'
    )


def save_player(trajectory: Trajectory, path, **state) -> Path:
    """Write the player as one HTML file that plays from disk, without a network.

    Parameters
    ----------
    trajectory : Trajectory
    path : str or Path
        The file appears whole or not at all.
    state
        As for :func:`player_html`.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    path = Path(path)
    title = "freehint: " + " + ".join(trajectory.meta["policies"])
    page = PAGE.replace("TITLE", title).replace("FRAGMENT", player_html(trajectory, **state))
    with whole_file(path) as temporary:
        temporary.write_text(page)
    return path
