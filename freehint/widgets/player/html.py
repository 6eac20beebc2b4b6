"""The player as an HTML page, or as a piece of one, that plays from disk without a network."""

import base64
import itertools
import json
from pathlib import Path

from freehint.figures.drawing.palette import THEMES
from freehint.files import whole_file
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.widgets.player.schedule import STAND_IN, SchedulePlayer, is_schedule
from freehint.widgets.player.widget import IN_STEP, MODULE, STYLE, first_state

_numbers = itertools.count()

START = """
const stands = STATES.map((state, i) => {
  const data = document.getElementById(`NAME-${i}-data`).textContent.trim();
  state.payload = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return standIn(state);
});
for (const name of IN_STEP) {
  for (const stand of stands) {
    stand.on(`change:${name}`, () => stands.forEach((other) => other.set(name, stand.get(name))));
  }
}
stands.forEach((stand, i) => render({model: stand, el: document.getElementById(`NAME-${i}`)}));
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


def player_html(trajectory, **state) -> str:
    """A piece of HTML that holds the player with all its data and needs no network.

    Parameters
    ----------
    trajectory : Trajectory, or sequence of Trajectory
        Several get one player each, side by side.  They go in step, by simulated time.  Or a
        schedule, as :class:`freehint.widgets.SchedulePlayer` takes it.
    state
        First values of moment, time_ns, window_ns, playing, speed, selected, zoom and lens.

    Returns
    -------
    str
        HTML for a page, or for ``IPython.display.HTML`` in a notebook that will be rendered.
    """
    if is_schedule(trajectory):
        return SchedulePlayer(trajectory, **state).html()
    shown = [trajectory] if isinstance(trajectory, Trajectory) else [*trajectory]
    start = {"window_ns": [], "playing": False, "speed": 30, "selected": -1, "zoom": 1}
    start |= {"lens": "hints", "colours": THEMES} | state
    if shown and "moment" not in state:  # all begin where the first one does
        start |= {"time_ns": first_state(shown[0], state)["time_ns"]}
    states = [start | first_state(seen, start) for seen in shown]
    name = f"freehint-player-{next(_numbers)}"
    module = MODULE.replace("export default {render};", "")
    script = STAND_IN + START.replace("STATES", json.dumps(states)).replace("NAME", name)
    script = script.replace("IN_STEP", json.dumps(IN_STEP))
    places = "".join(f'<div id="{name}-{i}"></div>\n' for i in range(len(shown)))
    data = "".join(
        f'<script type="text/plain" id="{name}-{i}-data">'
        f"{base64.b64encode(seen.to_bytes()).decode()}</script>\n"
        for i, seen in enumerate(shown)
    )
    return (
        f"<style>{STYLE}</style>\n"
        f'<div class="fh-side-by-side">\n{places}</div>\n{data}'
        f'<script type="module">{module}\n{script}</script>\n'
    )


def save_player(trajectory, path, **state) -> Path:
    """Write the player as one HTML file that plays from disk, without a network.

    Parameters
    ----------
    trajectory : Trajectory, or sequence of Trajectory
        As for :func:`player_html`.
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
    if is_schedule(trajectory):
        title, fragment = "freehint: a schedule", player_html(trajectory, **state)
    else:
        shown = [trajectory] if isinstance(trajectory, Trajectory) else [*trajectory]
        title = "freehint: " + " and ".join(" + ".join(seen.meta["policies"]) for seen in shown)
        fragment = player_html(shown, **state)
    page = PAGE.replace("TITLE", title).replace("FRAGMENT", fragment)
    with whole_file(path) as temporary:
        temporary.write_text(page)
    return path
