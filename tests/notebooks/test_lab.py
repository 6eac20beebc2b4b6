"""Every notebook in a real JupyterLab, and the harness itself on notebooks made for it."""

from pathlib import Path

import pytest
from playwright.sync_api import Error
from test_notebooks import ANSWERS

import lab
from lab import open_offline, write_notebook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# The contents have no code (test_book.py); papermill runs the report, test_notebooks.py those that
# have knobs.
LIVE_NOTEBOOKS = [
    p for p in NOTEBOOKS if p.stem not in ("index", "report", "00_start_here", *ANSWERS)
]

KNOBS = """
from io import BytesIO
import ipywidgets as widgets
import numpy as np
from matplotlib.image import imsave

def png(grey, side=64):
    imsave(file := BytesIO(), np.full((side, side), grey), cmap="gray", vmin=0, vmax=255)
    return file.getvalue()

grey = widgets.IntSlider(100, 0, 255, description="grey")
shade = widgets.Dropdown(options=[("as it is", 0), ("darker", 40)], description="shade")
negative = widgets.Checkbox(description="negative")
side = widgets.ToggleButtons(options=[("small", 64), ("smaller", 32)], description="side")
picture = widgets.Image(value=png(100))
picture.add_class("shown")

def redraw(change):
    shown = grey.value - shade.value
    picture.value = png(255 - shown if negative.value else shown, side.value)

for knob in (grey, shade, negative, side):
    knob.observe(redraw, "value")
"""


@pytest.mark.parametrize("notebook", LIVE_NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_jupyterlab(notebook, jupyterlab):
    page = jupyterlab.open(notebook)
    page.run_all()
    page.assert_clean()
    assert page.screenshot(notebook.stem).is_file()


def test_knobs_change_the_picture(jupyterlab, tmp_path):
    show = "widgets.VBox([grey, shade, negative, side, picture])"
    notebook = write_notebook(tmp_path / "knobs.ipynb", KNOBS, show)
    page = jupyterlab.open(notebook)
    with pytest.raises(AssertionError, match="execution counts"):
        page.assert_clean()
    page.run_all()
    page.assert_clean()
    assert [len(outputs) for outputs in page.cell_outputs] == [0, 1]
    at_start = page.shown("img.shown")
    for label, there, back in [
        ("grey", "ArrowRight", "ArrowLeft"),
        ("shade", "darker", "as it is"),
        ("negative", "Space", "Space"),
        ("side", "smaller", "small"),
    ]:
        page.turn(label, there)
        moved = page.wait_picture_changed("img.shown", at_start)
        page.turn(label, back)
        assert page.wait_picture_changed("img.shown", moved) == at_start
    assert page.knob("grey").get_attribute("aria-valuenow") == "100.0"
    assert 0 < page.median_ms("grey", ["ArrowRight", "ArrowLeft"], "img.shown", 3) < 5000
    with pytest.raises(Error, match="nothing came in 1 s"):
        page.turn_ms("grey", "F9", "img.shown", timeout=1)
    assert page.screenshot("harness").stat().st_size > 10_000


UNCLEAN = {
    "ZeroDivisionError": "1 / 0",
    "other hosts.*example": """from IPython.display import HTML
HTML('<img src="http://example.com/a.png">')""",
    "errors of the page.*nowhere": """from IPython.display import Javascript
Javascript("setTimeout(() => nowhere(), 0)")""",
}


@pytest.mark.parametrize("seen", UNCLEAN)
def test_a_notebook_that_is_not_clean_is_seen(jupyterlab, tmp_path, seen):
    page = jupyterlab.open(write_notebook(tmp_path / "unclean.ipynb", UNCLEAN[seen]))
    page.run_all()
    page.page.wait_for_timeout(500)  # the browser shows outputs after the kernel is idle
    with pytest.raises(AssertionError, match=seen):
        page.assert_clean()


def test_open_offline_sees_every_request(tmp_path):
    html = tmp_path / "offline.html"
    html.write_text(
        '<p>words</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
        '<script src="http://example.com/a.js"></script><link rel="stylesheet" href="a.css">'
        "<script>nowhere()</script>"
    )
    page = open_offline(html, "harness_offline")
    assert page.requests == ["http://example.com/a.js", (tmp_path / "a.css").as_uri()]
    assert len(page.errors) == 1 and "nowhere" in page.errors[0]
    assert "words" in page.text
    assert page.screenshot.is_file()


def test_missing_chromium_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="need chromium, which is not installed"):
        with lab.chromium():
            pass
