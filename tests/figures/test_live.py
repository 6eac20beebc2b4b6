"""Figures in an open notebook: who gets one that is live, its colours, its words when hovered."""

from io import BytesIO
from types import SimpleNamespace

import ipympl.backend_nbagg  # noqa: F401  before IPython is replaced
import IPython
import numpy as np
import pandas as pd
import pytest
from matplotlib.backend_bases import LocationEvent, MouseEvent
from matplotlib.colors import to_hex
from matplotlib.image import imread

import freehint as fh
from freehint.figures.drawing import live
from freehint.figures.drawing.hover import words_under
from freehint.figures.drawing.palette import THEMES
from freehint.figures.drawing.style import new_figure
from freehint.widgets import ThreadExample

# A complaint of traitlets about ipympl's own class.
pytestmark = pytest.mark.filterwarnings(r"ignore:Passing unrecognized arguments to super\(Toolbar")
ASKED = {  # who asks the kernel to run a cell -> the metadata of the message
    "JupyterLab": {"trusted": True, "deletedCells": [], "recordTiming": False, "cellId": "1a"},
    "papermill": {},
}


@pytest.fixture
def asked_by(monkeypatch):
    """A function (who, execution) that pretends that a cell is being run."""

    def ask(who, execution="m1"):
        message = {"header": {"msg_id": execution}, "metadata": ASKED[who]}
        shell = SimpleNamespace(kernel=None, get_parent=lambda: message)
        monkeypatch.setattr(IPython, "get_ipython", lambda: shell)

    monkeypatch.setattr(live, "_OPEN", {})
    live._page.cache_clear()
    yield ask
    live._page.cache_clear()


def balance():
    """A figure, and the canvas on which JupyterLab shows it."""
    table = fh.summaries([fh.simulate(fh.Scenario(memory="64MiB", duration_ns=30_000_000))])
    figure = fh.figures.hint_balance(table).get_figure()
    return figure, figure._repr_mimebundle_()


def test_only_jupyterlab_gets_a_live_figure(asked_by):
    figure, bundle = balance()
    assert bundle is None  # a script
    asked_by("papermill")
    assert figure._repr_mimebundle_() is None
    assert ThreadExample().picture.children[0].format == "png"
    asked_by("JupyterLab")
    shown = figure._repr_mimebundle_()[live.VIEW]
    assert shown["model_id"] == figure.canvas.model_id
    assert ThreadExample().picture.children[0].toolbar is not None


def test_a_live_figure_follows_the_theme_and_stays_light_on_paper(asked_by, tmp_path):
    asked_by("JupyterLab")
    figure, _ = balance()
    ax, path = figure.axes[0], tmp_path / "paper.svg"
    for theme in ("dark", "light", "dark"):
        live._page().theme = theme
        colours = THEMES[theme]
        inked = (ax.xaxis.label, *ax.get_legend().get_texts(), *ax.get_yticklabels())
        assert {to_hex(text.get_color()).upper() for text in inked} == {colours["ink"]}
        assert to_hex(figure.get_facecolor()).upper() == colours["paper"]
        faces = {to_hex(bar.get_facecolor()).upper() for bar in ax.patches}
        assert faces <= {THEMES["light"][m] for m in ("hinted", "reused", "twice", "lost")}
        picture = imread(BytesIO(figure._repr_png_()))
        assert to_hex(picture[0, 0]).upper() == THEMES["light"]["paper"]
        fh.figures.export(figure, path)
        drawn = path.read_text().upper()
        assert THEMES["light"]["ink"] in drawn
        assert not any(THEMES["dark"][name] in drawn for name in ("ink", "paper"))
        assert to_hex(figure.get_facecolor()).upper() == colours["paper"]


def test_a_cell_that_runs_again_closes_the_figures_it_showed(asked_by):
    asked_by("JupyterLab", "m1")
    first, second = balance()[0], balance()[0]
    assert first.canvas.comm is not None and second.canvas.comm is not None
    asked_by("JupyterLab", "m2")
    third = balance()[0]
    assert first.canvas.comm is None and second.canvas.comm is None
    assert len(live._page().figures) == 1 and third.canvas.comm is not None
    live._page().theme = "dark"
    asked_by("JupyterLab", "m3")
    shown = third._repr_mimebundle_()  # the same figure once more
    assert shown[live.VIEW]["model_id"] == third.canvas.model_id and len(third.texts) == 1
    assert to_hex(third.get_facecolor()).upper() == THEMES["dark"]["paper"]
    live._page().theme = "light"
    assert to_hex(third.get_facecolor()).upper() == THEMES["light"]["paper"]


def test_a_figure_is_no_wider_than_its_place(asked_by):
    asked_by("JupyterLab")
    figure, _ = balance()
    (name,) = live._page().figures
    for room, width in ((2_000, 900), (544, 500), (100, 225), (10, 225)):
        live._page()._told(None, {"figure": name, "width": room}, None)
        assert figure.bbox.width == pytest.approx(width, abs=1)


def test_a_knob_draws_on_the_same_canvas(asked_by):
    asked_by("JupyterLab")
    panel = ThreadExample()
    live._page().theme = "dark"
    (canvas,) = panel.picture.children
    before = panel.picture.png
    panel.knobs["capacity"].value = 3
    assert panel.picture.children == (canvas,) and panel.picture.png != before
    assert to_hex(canvas.figure.get_facecolor()).upper() == THEMES["dark"]["paper"]
    before = panel.picture.png
    panel.knobs["rotate"].value = "never"
    assert "cannot go with" in panel.message.value and panel.picture.png == before


def words_at(ax, x, y) -> str:
    """What is said when the mouse is over a place, in data coordinates."""
    figure = ax.get_figure()
    figure.draw_without_rendering()
    at = ax.transData.transform((x, y))
    return words_under(MouseEvent("motion_notify_event", figure.canvas, *at))


def test_each_frame_is_whole_so_that_a_lost_one_does_no_harm(asked_by, monkeypatch):
    asked_by("JupyterLab")
    figure, _ = balance()
    frames = []
    monkeypatch.setattr(figure.canvas, "send_binary", frames.append)
    figure.canvas.draw()
    figure.axes[0].patches[0].set_facecolor("black")
    for draw in (figure.canvas.draw, figure.canvas.blit):
        draw()
        drawn = np.asarray(figure.canvas.buffer_rgba())
        np.testing.assert_array_equal((255 * imread(BytesIO(frames[-1]))).round(), drawn)
    assert len(frames) == 3 and frames[0] != frames[1]


def test_a_move_that_comes_after_the_mouse_has_left_tells_nothing(asked_by):
    """ipympl holds moves back for some milliseconds, and does not hold back the leaving."""
    asked_by("JupyterLab")
    figure, _ = balance()
    canvas, bar = figure.canvas, figure.axes[0].patches[0]
    canvas.draw()
    empty = np.array(canvas.buffer_rgba())
    at = figure.axes[0].transData.transform((bar.get_width() / 2, bar.get_y() + 0.01))

    def shown_after(kind, event=LocationEvent):
        event(kind, canvas, *at)._process()
        return not np.array_equal(canvas.buffer_rgba(), empty)

    assert shown_after("motion_notify_event", MouseEvent)
    assert not shown_after("figure_leave_event")
    assert not shown_after("motion_notify_event", MouseEvent)
    assert not shown_after("figure_enter_event")
    assert shown_after("motion_notify_event", MouseEvent)


def test_bars_are_told_by_the_row_and_their_own_length():
    ax = new_figure()[1]
    ax.barh(["none", "v24"], [1, 2], label="kept")
    ax.barh(["none", "v24"], [3, 4], left=[1, 2], label="lost")
    ax.set_xlabel("memory offered (MiB)")
    assert words_at(ax, 3.5, 1) == "lost\nv24\nmemory offered: 4 MiB"
    assert words_at(ax, 0.5, 0) == "kept\nnone\nmemory offered: 1 MiB"
    assert words_at(ax, 5.5, 0) == ""
    ax = new_figure()[1]
    ax.bar([0, 1], [5, 1234])
    ax.set_xticks([0, 1], ["head", "tail"])
    ax.set(ylabel="reused (%)", xlabel="place")
    assert words_at(ax, 1, 700) == "place: tail\nreused: 1,234%"


def test_bars_of_a_time_axis_are_told_by_begin_and_end():
    locks = pd.DataFrame({"zone": ["Normal"], "since_ns": [2_000_000], "held_ns": [3_500_000]})
    waits = pd.DataFrame({"cpu": [2], "since_ns": [3_000_000], "wait_ns": [1_000_000]})
    ax = fh.figures.lock_timeline(locks, waits, span_ns=10_000_000)
    rows = [label.get_text() for label in ax.get_yticklabels()]
    held = "lock held\nsimulated time: 2 to 5.5 ms, 3.5 ms long\nNormal"
    assert words_at(ax, 4, rows.index("Normal")) == held
    assert words_at(ax, 3.5, rows.index("CPU 2")).startswith("CPU waits\nsimulated time: 3 to 4 ms")


def test_points_lines_areas_and_maps_are_told_by_their_values():
    ax = new_figure()[1]
    ax.plot([0, 1, 2], [0, 10, 10], label="sent")
    ax.scatter([0.5], [2.0], label="seed 7")
    ax.axhline(7, label="limit")
    ax.set(xlabel="time (s)", ylabel="memory (MB)", xlim=(0, 2), ylim=(0, 20))
    assert words_at(ax, 1, 10) == "sent\ntime: 1 s\nmemory: 10 MB"
    assert words_at(ax, 1.5, 10) == "sent\ntime: 1.5 s\nmemory: 10 MB"  # between two points
    assert words_at(ax, 0.5, 2) == "seed 7\ntime: 0.5 s\nmemory: 2 MB"
    assert words_at(ax, 1.5, 7) == "limit\ntime: 1.5 s\nmemory: 7 MB"
    ax = new_figure()[1]
    ax.stackplot([0, 1, 2], [1, 1, 1], [2, 4, 6], labels=["low", "high"])
    ax.set(xlabel="time (s)", ylabel="free memory (MiB)")
    assert words_at(ax, 0.5, 2) == "high\ntime: 0.5 s\nfree memory: 3 MiB"
    ax = fh.figures.share_map(pd.DataFrame([[0.125, 0.5]], columns=pd.Index([64, 256], name="size"),
                                           index=pd.Index(["never"], name="rotate")))  # fmt: skip
    assert words_at(ax, 0, 0) == "size: 64\nrotate: never\n0.125"
    assert words_at(ax, np.float64(1.2), 0.3) == "size: 256\nrotate: never\n0.5"
