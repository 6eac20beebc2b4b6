"""The face: every knob of the first notebook, and some of the others, in a real JupyterLab."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = FOLDER / "00_start_here.ipynb"

# Label of a knob and the key that turns it.
KNOBS = [
    # each_report leaves the same lists as on_exit, so rotation is turned off, which needs a cursor.
    ("threadexample", "resume", "ArrowRight"),
    ("threadexample", "rotate", "Home"),
    ("threadexample", "consumed", "ArrowRight"),
    ("threadexample", "blocks per stroke", "ArrowRight"),
    ("guestknobs", "ring size", "ArrowLeft"),
    ("guestknobs", "host away (ms)", "ArrowRight"),
    ("guestknobs", "min_order", "ArrowRight"),
    ("guestknobs", "order", "ArrowRight"),
    ("guestknobs", "lock", "ArrowRight"),
    ("guestknobs", "batch", "ArrowLeft"),
    ("guestknobs", "resume", "End"),
    ("guestknobs", "rotate", "ArrowRight"),
    ("guestknobs", "full ring", "ArrowRight"),
    ("guestknobs", "kernel", "ArrowRight"),
]
# Notebook -> its panel, and knobs with the keys that turn them.
ANSWERS = {
    "01_free_lists": ("blockknobs", [("allocations", "ArrowRight"), ("freed blocks go", "End")]),
    "02_the_walk": ("scenarioknobs", [("order", "End"), ("min_order", "ArrowRight")]),
    "03_rotation": ("scenarioknobs", [("rotate", "End"), ("stop after (µs)", "End")]),
    "04_the_cursor": ("scenarioknobs", [("resume", "End"), ("ring size", "ArrowLeft")]),
    "05_hold_the_lock": ("scenarioknobs", [("batch", "ArrowRight"), ("lock", "Home")]),
    "06_five_steps": ("scenarioknobs", [("batch", "ArrowRight"), ("host away (ms)", "Home")]),
    "07_the_ring": ("scenarioknobs", [("order", "End"), ("ring size", "ArrowLeft")]),
    "08_what_linux_merged": ("scenarioknobs", [("DONE after (ms)", "Home"), ("policy", "Home")]),
    "09_live_migration": (
        "scenarioknobs",
        [("piece (KiB)", "End"), ("MB/s", "End"), ("policy", "Home")],
    ),
}


@pytest.fixture(scope="module")
def page(jupyterlab):
    page = jupyterlab.open(NOTEBOOK)
    page.run_all()
    page.assert_clean()
    yield page
    page.screenshot("00_start_here_after_knobs")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_knob_of_each_answer_changes_the_picture(jupyterlab, name):
    page = jupyterlab.open(FOLDER / f"{name}.ipynb")
    page.run_all()
    page.assert_clean()
    assert page.screenshot(name).is_file()
    panel, knobs = ANSWERS[name]
    page.scope = f".freehint-{panel}"
    picture = f"{page.scope} img"
    for label, key in knobs:
        before = page.shown(picture)
        page.turn(label, key)
        assert page.wait_picture_changed(picture, before) != before
    assert page.errors == [] and page.foreign_requests == []


@pytest.mark.parametrize(("panel", "label", "key"), KNOBS)
def test_every_knob_changes_the_picture(page, panel, label, key):
    page.scope = f".freehint-{panel}"
    picture = f"{page.scope} img"
    before = page.shown(picture)
    page.turn(label, key)
    assert page.wait_picture_changed(picture, before) != before
    assert page.errors == [] and page.foreign_requests == []


def test_contradictory_knobs_are_answered_with_a_sentence(page):
    page.scope = ".freehint-threadexample"
    page.turn("rotate", "Home")
    page.turn("resume", "Home")
    page.turn("resume", "ArrowRight")
    sentence = page.page.locator(page.scope).get_by_text("cannot go with policy.rotate 'never'")
    sentence.wait_for(timeout=30_000)
    assert page.errors == []
