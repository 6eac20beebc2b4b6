"""All that runs in a real JupyterLab: every notebook with its knobs, the player, the bench.

They share one server and one page, so they stand in one file, which one process runs.
"""

import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Error

import book
from freehint.data import data
from freehint.figures.drawing.palette import THEMES
from freehint.policies import POLICIES
from freehint.reports.glossary import meanings
from lab import MOMENT, PLAYER, SCREENSHOTS, executed, lab_server, write_notebook

FIRST = "00_start_here"
# Label of a knob and the key that turns it.
FIRST_KNOBS = [
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
    "17_park_and_restore": ("scenarioknobs", [("chunk", "End"), ("policy", "Home")]),
}
# The contents have no code, and papermill runs the report.
LIVE = [name for name in book.CHAPTERS if name not in (FIRST, "report", *ANSWERS)]
# Most of their time goes with these parameters.  Two seeds give an interval.  What is left out is
# judged elsewhere, and here nobody would: recorded walks by the test of README, disputes by that of
# the verdicts, cells of the explorer by its own test and make explore, policies under pressure and
# hosts that are shared by the tests of both; make book runs all of it.
TWO = {"seeds": [1, 2]}
SHORT = {
    **dict.fromkeys(("03_rotation", "04_the_cursor", "05_hold_the_lock", "06_five_steps"), TWO),
    **dict.fromkeys(("07_the_ring", "11_after_the_migration", "verdict"), TWO),
    "09_live_migration": TWO | {"pieces": [1, 4096]},
    "10_is_it_the_real_kernel": TWO | {"recordings": ["cache"], "disputes": ["restart and cursor"]},
    "14_the_thread_on_a_real_kernel": TWO | {"recordings": "walkers"},
    "15_can_it_corrupt": {"again": ["none"]},
    "16_under_pressure": TWO | {"compared": ["hold_the_lock", "balloon_alloc", "page_reporting"]},
    "17_park_and_restore": TWO | {"sandboxes": 1, "chunks": [4, 2048]},
    "factorial": {"ring_sizes": [32]},
    "overcommit": {"seconds": 9, "sizes": [2]},
}
# For each question of the thread at least one walk that bears on it.
WALKS = ("c_v24", "s3_rot", "a_scan", "first_again", "c_cursor", "c_hold2", "c_fiveall")


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """A JupyterLab in a browser, :class:`lab.Lab`."""
    with lab_server(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def chapter(name: str, folder: Path) -> Path:
    """A notebook; of a long one a copy with other parameters."""
    if name not in SHORT:
        return book.FOLDER / f"{name}.ipynb"
    notebook = book.read(name)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for parameter, value in SHORT[name].items():
        assert re.search(rf"^{parameter} = ", cell.source, re.MULTILINE)
        if value == "walkers":
            value = some_walks(folder / value)
        cell.source += f"\n{parameter} = {value!r}"
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def some_walks(folder: Path) -> str:
    """A folder with WALKS of the shipped recordings alone."""
    folder.mkdir()
    for name in WALKS:
        for path in data("linux-6.1/walkers").glob(f"{name}.*"):
            (folder / path.name).symlink_to(path)
    return str(folder)


@pytest.mark.parametrize("name", LIVE)
def test_notebook_runs_in_jupyterlab(name, jupyterlab, tmp_path):
    page = jupyterlab.open(chapter(name, tmp_path), forked=True)
    page.run_all()
    page.assert_clean()
    assert page.screenshot(name).is_file()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_knob_of_each_answer_changes_the_picture(jupyterlab, name, tmp_path):
    page = jupyterlab.open(chapter(name, tmp_path), forked=True)
    page.run_all()
    page.assert_clean()
    assert page.screenshot(name).is_file()
    # Chapters 01 to 06 and 17 wait for two guesses each, and tell nothing before.
    told = page.page.locator(".fh-guess-said").all_inner_texts()
    assert told == ["", ""] * (name[:2] <= "06" or name[:2] == "17")
    assert "You said" not in str(page.cell_outputs)
    panel, knobs = ANSWERS[name]
    page.scope = f".freehint-{panel}"
    picture = f"{page.scope} canvas"
    for label, key in knobs:
        before = page.settled(picture)
        page.turn(label, key)
        assert page.wait_picture_changed(picture, before) != before
    assert page.errors == [] and page.foreign_requests == []


@pytest.fixture(scope="module")
def page(jupyterlab):
    """The first notebook; the tests that turn its knobs follow each other."""
    page = jupyterlab.open(book.FOLDER / f"{FIRST}.ipynb", forked=True)
    page.run_all()
    page.assert_clean()
    return page


@pytest.mark.parametrize(("panel", "label", "key"), FIRST_KNOBS)
def test_every_knob_changes_the_picture(page, panel, label, key):
    page.scope = f".freehint-{panel}"
    picture = f"{page.scope} canvas"
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
    sentence.wait_for()
    assert page.errors == []
    assert page.screenshot(f"{FIRST}_after_knobs").is_file()


def test_the_contents_show_their_pictures_in_jupyterlab(jupyterlab):
    page = jupyterlab.open(book.FOLDER / "index.ipynb", forked=True)
    pictures = page.page.locator(".jp-RenderedMarkdown img")
    pictures.last.wait_for()
    sizes = pictures.evaluate_all("(all) => all.map((picture) => picture.naturalWidth)")
    assert sizes == [book.WIDTH] * len(book.CHAPTERS)
    assert page.errors == [] and page.foreign_requests == []
    assert page.screenshot("index").is_file()


# The player and the bench.

THEME = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
CORNER = """(canvas) => '#' + [...canvas.getContext('2d').getImageData(
  canvas.width - 2, canvas.height - 2, 1, 1).data].slice(0, 3)
  .map((part) => part.toString(16).padStart(2, '0')).join('')"""
PLAYER_CELLS = [
    "from freehint.studies.thread_run import thread_trajectory\n"
    "from freehint.widgets import Player\n"
    "player = Player(thread_trajectory(), speed=30)",
    "player",
    "print(player.moment, player.selected)",
    "from freehint import figures\n"
    "ax = figures.new_figure(height=2.2)[1]\n"
    "bars = ax.barh(['v24', 'none'], [30, 10], label='sent')\n"
    "label = ax.set_xlabel('memory (MiB)')\n"
    "ax.figure",
]
FIGURE = ".jupyter-matplotlib canvas:first-of-type"  # The other one shows what is dragged.


def hover_and_zoom(lab, figure):
    """Hover a bar of a figure, zoom to a part of it, and go back."""
    page = lab.page
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()

    def over(x, y):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def press(button):
        """Buttons are there only while the mouse is over the figure, and fade in."""
        over(0.6, 0.1)  # where nothing is under the mouse
        page.get_by_title(button).click()

    at_first = lab.settled(FIGURE)
    over(0.3, 0.2)
    lab.wait_picture_changed(FIGURE, at_first)
    figure.screenshot(path=SCREENSHOTS / "figure_hovered.png")
    page.mouse.move(2, 2)
    lab.wait_picture_is(FIGURE, at_first)
    press("Zoom to rectangle")
    over(0.6, 0.1)
    page.mouse.down()
    over(0.9, 0.5)
    page.mouse.up()
    page.mouse.move(2, 2)
    lab.wait_picture_changed(FIGURE, at_first)
    figure.screenshot(path=SCREENSHOTS / "figure_zoomed.png")
    press("Reset original view")
    lab.wait_picture_is(FIGURE, at_first)


def test_the_player_in_jupyterlab(jupyterlab, tmp_path):
    notebook = write_notebook(tmp_path / "player.ipynb", *PLAYER_CELLS)
    lab = jupyterlab.open(notebook, forked=True)
    lab.run_all()
    page = lab.page
    page.wait_for_selector(PLAYER)
    lab.assert_clean()
    root = page.locator(PLAYER)

    root.focus()
    page.keyboard.press("Home")
    at_start = lab.shown(".fh-player canvas")
    page.keyboard.press("End")
    last = page.evaluate(MOMENT)
    assert last > 50 and lab.wait_picture_changed(".fh-player canvas", at_start)
    page.keyboard.press("Home")
    assert page.evaluate(MOMENT) == 0

    page.keyboard.press(" ")
    page.wait_for_function(f"{MOMENT} > 10")
    page.keyboard.press(" ")
    stopped = page.evaluate(MOMENT)
    page.wait_for_timeout(300)
    assert page.evaluate(MOMENT) == stopped < last

    page.keyboard.press("Home")
    for key in ("Shift+ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate(MOMENT) == 11
    # The slider's own keys are the player's, and JupyterLab gets none of them.
    page.locator(".fh-scrubber").focus()
    cell_before = page.evaluate("window.freehintPanel.content.activeCellIndex")
    cells = len(lab.cells)
    for key in ("ArrowDown", "ArrowUp", "ArrowUp", "ArrowRight", "a", "d", "f", "w", "s"):
        page.keyboard.press(key)
    assert page.evaluate(MOMENT) == 12 and len(lab.cells) == cells
    assert page.evaluate("window.freehintPanel.content.activeCellIndex") == cell_before

    hover_and_zoom(lab, page.locator(".jupyter-matplotlib-canvas-div"))
    page.locator(".fh-map").click(position={"x": 300, "y": 10})
    assert "pfn" in page.inner_text(".fh-block")
    for theme in ("dark", "light"):
        before = lab.shown(FIGURE)
        page.evaluate(THEME, f"JupyterLab {theme.capitalize()}")
        page.wait_for_selector(f".fh-player[data-theme={theme}]")
        # JupyterLab covers its page meanwhile, and two covers at once are an error of its own.
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        for canvas in page.locator(".fh-player canvas").all():
            grounds = {THEMES[theme][name].lower() for name in ("paper", "used")}
            assert canvas.evaluate(CORNER) in grounds
        lab.wait_picture_changed(FIGURE, before)
        figure = page.locator(FIGURE).first
        assert figure.evaluate(CORNER) == THEMES[theme]["paper"].lower()
        figure.screenshot(path=SCREENSHOTS / f"figure_{theme}.png")
    page.wait_for_timeout(500)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(PLAYER)
    assert page.evaluate(MOMENT) == 12
    assert "pfn" in page.inner_text(".fh-block")
    assert not lab.errors and not lab.foreign_requests
    page.screenshot(path=SCREENSHOTS / "player_lab.png")


SCHEDULE_CELLS = [
    "import freehint as fh\n"
    "lost = 'five_step,generation=G3,initially_set=True:004050200b20020330414141'\n"
    "player = fh.Player(lost, step=3)",
    "player",
    "print(player.step)",
]


def test_the_player_of_schedules_in_jupyterlab(jupyterlab, tmp_path):
    lab = jupyterlab.open(write_notebook(tmp_path / "schedule.ipynb", *SCHEDULE_CELLS), forked=True)
    lab.run_all()
    page, step = lab.page, "document.querySelector('.fh-player').dataset.step"
    page.wait_for_selector(PLAYER)
    lab.assert_clean()
    assert page.evaluate(step) == "3"
    root = page.locator(PLAYER)
    root.focus()
    cell_before = page.evaluate("window.freehintPanel.content.activeCellIndex")
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate(step) == "4"
    assert page.evaluate("window.freehintPanel.content.activeCellIndex") == cell_before
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.evaluate(THEME, theme)
        page.wait_for_selector(f".fh-player[data-theme={theme.split()[1].lower()}]")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
    root.focus()
    page.keyboard.press("End")
    assert "lacks a write of the guest" in page.inner_text(".fh-broken")
    lab.wait_idle()
    root.screenshot(path=SCREENSHOTS / "schedule_lab.png")
    assert lab.errors == [] and lab.foreign_requests == []


BENCH_CELLS = [
    "import freehint as fh\nfrom freehint.widgets import Lab\n"
    "bench = Lab(fh.Scenario(memory='256MiB', duration_ns=60_000_000))",
    "bench",
    "print(bench.code)\nprint(bench.edited.value, [p.moment for p in bench.players.values()])",
]
SLOW = """
import time
answer = bench._show_values
bench._show_values = lambda: (time.sleep(1), answer())
"""
LISTEN = """(label) => {
  const knob = [...document.querySelectorAll('.fh-lab .fh-knob')].find(
    (e) => e.querySelector('label').textContent === label);
  const chosen = () => knob.querySelector('[aria-checked=true]').textContent;
  window.seen = [chosen()];
  new MutationObserver(() => window.seen.push(chosen())).observe(
    knob, {attributes: true, subtree: true}); }"""
NOTED = """() => { const text = (s) => [...document.querySelectorAll(s)].map((e) => e.textContent);
  return {readouts: text('.fh-lab .fh-knob output, .fh-lab .fh-knob [aria-checked=true]'),
          chosen: [...document.querySelectorAll('.fh-lab select')].map((e) => e.value),
          table: text('.fh-diff td'),
          moments: [...document.querySelectorAll('.fh-player')].map((p) => p.dataset.moment)}; }"""


def open_setting(page, text):
    page.get_by_role("button", name="share").click()
    page.get_by_role("button", name="open another").click()
    page.locator(".fh-share textarea").fill(text)
    page.locator(".fh-share-line").get_by_role("button", name="open").click()


def test_the_bench_in_jupyterlab(jupyterlab, tmp_path):
    notebook = write_notebook(tmp_path / "bench.ipynb", *BENCH_CELLS)
    lab = jupyterlab.open(notebook, forked=True)
    page, lab.scope = lab.page, ".fh-lab"
    lab.run_all()
    page.wait_for_selector(PLAYER)
    lab.assert_clean()
    players = ".fh-player canvas"

    # The time stays in a longer run, at another moment of it.
    before, time_ns = lab.settled(players), page.get_attribute(PLAYER, "data-time-ns")
    lab.turn("run", "ArrowRight")
    lab.wait_picture_changed(players, before)
    lab.settled(players)
    assert page.get_attribute(PLAYER, "data-time-ns") == time_ns
    page.get_by_role("button", name="reset").click()
    lab.wait_picture_is(players, before)
    lab.wait_idle()

    # A knob, by keyboard, changes the player and then the figures.
    # Settled, because figures that come below the player may bring a scroll bar, which narrows it.
    figures, before = lab.settled(".fh-lab-below canvas"), lab.settled(players)
    lab.turn("policy", "ArrowLeft")
    lab.wait_picture_changed(players, before)
    assert page.inner_text(".fh-player .fh-title strong") == "none"
    lab.wait_picture_changed(".fh-lab-below canvas", figures)
    lab.turn("policy", "ArrowRight")
    lab.wait_picture_is(players, before)  # after the preview

    # Two sides: the knobs are B's, A stays; the players go together.
    page.get_by_role("button", name="A and B").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('{PLAYER}').length === 2")
    lab.turn("policy", "End")
    titles = page.locator(".fh-player .fh-title strong")
    titles.get_by_text("page_reporting").wait_for()
    assert titles.all_inner_texts() == ["v24", "page_reporting"]
    page.get_by_role("button", name="5 seeds").click()
    page.get_by_text("seeds 1 to 5").wait_for()
    assert page.locator(".fh-diff .fh-better, .fh-diff .fh-worse").count() > 0
    page.locator(PLAYER).first.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "[...document.querySelectorAll('.fh-player')].every((p) => p.dataset.moment === '99')"
    )

    # A contradiction is a sentence; so is what is copied.
    lab.turn("policy", "Home")
    for _ in range(list(POLICIES).index("hold_the_lock")):
        lab.turn("policy", "ArrowRight")
    # The last answer has come, so Home is a turn whatever the policies between have set.
    titles.get_by_text("hold_the_lock").wait_for()
    lab.turn("full ring", "Home")
    lab.turn("full ring", "ArrowRight")
    page.get_by_text("cannot go with policy.on_full 'stop'").wait_for()
    page.wait_for_timeout(1500)  # a rest, so that undo comes back to here
    lab.turn("full ring", "ArrowRight")
    page.wait_for_function("!document.querySelector('.fh-lab-said')")
    page.get_by_role("button", name="share").press("Enter")
    code = page.locator(".fh-share textarea").input_value()
    assert set(executed(code)) >= {"a", "b"}
    page.get_by_role("button", name="JSON").click()
    shared = page.locator(".fh-share textarea").input_value()
    page.keyboard.press("Escape")
    assert page.locator(".fh-share-panel").is_hidden()

    # Undo goes back to the value before; a setting is opened, or refused with a sentence.
    page.get_by_role("button", name="undo").click()
    page.locator(".fh-lab-said").wait_for()
    open_setting(page, shared.replace('"freehint_bench": 1', '"freehint_bench": 7'))
    page.get_by_text("freehint_bench must be 1, got 7").wait_for()
    open_setting(page, shared)
    page.wait_for_function("!document.querySelector('.fh-lab-said')")

    # All is as left when the page comes again.
    lab.wait_idle()
    page.wait_for_timeout(1500)
    left = page.evaluate(NOTED)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    page.reload()
    page.wait_for_function(f"document.querySelectorAll('{PLAYER}').length === 2")
    page.locator(".fh-diff").wait_for()
    assert page.evaluate(NOTED) == left and left["moments"] == ["99", "99"]
    assert not lab.errors and not lab.foreign_requests
    page.screenshot(path=SCREENSHOTS / "lab_bench.png")


def test_a_knob_keeps_what_was_turned_after_the_question(jupyterlab, tmp_path):
    """The policy's own value for a knob never shows in place of what the hand has set since."""
    first = "import freehint as fh\nfrom freehint.widgets import Lab\n"
    first += "bench = Lab(fh.Scenario(memory='256MiB', policy='restartable_cursor'))\n"
    notebook = write_notebook(tmp_path / "hasty.ipynb", first + SLOW, "bench")
    lab = jupyterlab.open(notebook, forked=True)
    page, lab.scope = lab.page, ".fh-lab"
    lab.run_all()
    page.wait_for_selector(PLAYER)
    page.evaluate(LISTEN, "full ring")
    lab.turn("policy", "ArrowRight")  # hold_the_lock, which waits where the ring is full
    lab.turn("full ring", "Home")
    page.locator(".fh-player .fh-title strong").get_by_text("hold_the_lock").wait_for()
    lab.wait_idle()
    page.wait_for_timeout(500)
    assert page.evaluate("[...new Set(window.seen)]") == ["stop", "lose"]
    page.get_by_role("button", name="share").press("Enter")
    code = page.locator(".fh-share textarea").input_value()
    made = executed(code)["a"].policy
    assert (made.name, made.on_full) == ("hold_the_lock", "lose")


def test_words_of_the_glossary_show_their_meanings(jupyterlab, tmp_path):
    code = ("import freehint as fh\nfh.glossary()", "from IPython.display import Markdown")
    path = write_notebook(tmp_path / "words.ipynb", *code, "Markdown('Stale hints, and the lap.')")
    made = nbformat.read(path, 4)
    prose = "# A stroke?\n\nA stroke of `v24` on the ring."
    made.cells.insert(0, nbformat.v4.new_markdown_cell(prose))
    nbformat.write(made, path)
    lab = jupyterlab.open(path, forked=True)
    lab.run_all()
    lab.assert_clean()
    marked = lab.page.locator(".jp-RenderedMarkdown abbr")
    lab.page.wait_for_function("document.querySelectorAll('abbr').length === 6")
    found = {one.inner_text(): one.get_attribute("title") for one in marked.all()}
    of = meanings()
    assert found == {
        text: of[text.lower().removesuffix("s")]
        for text in ("stroke", "v24", "ring", "Stale", "hints", "lap")
    }
    lab.page.get_by_text("Words of the debate").click()
    assert lab.page.locator(".fh-glossary tr").count() == len(set(of.values()))
    assert lab.screenshot("glossary").is_file()

    # Prose that is written anew is marked anew.
    prose = lab.page.locator(".jp-MarkdownCell").first
    prose.locator(".jp-RenderedMarkdown").dblclick()
    prose.locator(".cm-line").last.click()
    lab.page.keyboard.press("Control+End")
    lab.page.keyboard.type(" And a pageblock.")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.wait_for_selector("abbr:text-is('pageblock')")
    assert lab.errors == [] and lab.foreign_requests == []


def test_a_restarted_kernel_is_told(jupyterlab, tmp_path):
    cell = "from freehint.widgets import ThreadExample\nThreadExample()"
    lab = jupyterlab.open(write_notebook(tmp_path / "restarted.ipynb", cell), forked=True)
    lab.run_all()
    page = lab.page
    page.locator(".fh-knob").first.wait_for()
    assert page.locator(".fh-dead-said").count() == 0
    page.evaluate("() => window.freehintPanel.sessionContext.session.kernel.restart()")
    page.get_by_text("The kernel was restarted: run the cell again.").wait_for()
    assert page.locator(".fh-dead-said").count() == 1


PREDICTION_CELLS = [
    "from freehint import figures\nfrom freehint.studies.thread import thread_story\n"
    "from freehint.widgets import Prediction\nstory = thread_story('on_exit', 'cursor')",
    "asked = Prediction('How many are reported twice?', story.duplicates, 5, between=(0, 8),"
    " unit='blocks', shown=[figures.story(story).figure])\nasked",
    "Prediction('Which end?', 'tail', 'head', choices=['head', 'tail'])",
    "Prediction('How much?', 1, 2, between=(-50, 50), unit='ms')",
]


def test_a_prediction_hides_its_answer_until_the_guess(jupyterlab, tmp_path):
    lab = jupyterlab.open(
        write_notebook(tmp_path / "prediction.ipynb", *PREDICTION_CELLS), forked=True
    )
    lab.run_all()
    page = lab.page
    number, choice = (page.locator(".fh-guess").nth(i) for i in range(2))
    page.locator(".fh-guess").nth(2).wait_for()
    lab.assert_clean()
    told = page.locator(".fh-guess-said")
    assert told.all_inner_texts() == ["", "", ""]
    sliders = page.locator(".fh-guess input[type=range]")
    assert [slider.input_value() for slider in sliders.all()] == ["4", "0"]
    picture = page.locator(".freehint-prediction :is(img, canvas)")
    assert picture.count() == 0
    assert "You said" not in str(lab.cell_outputs)

    # By keyboard alone; a number out of range is not taken.
    cells = len(lab.cells)
    number.locator("input[type=number]").focus()
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert told.all_inner_texts() == ["", "", ""]
    for _ in range(2):
        page.keyboard.press("Backspace")
    page.keyboard.press("Shift+Tab")  # to the slider, which stands in the middle
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    said = "You said 4.1 blocks. It is 0 blocks: 4.1 blocks too high."
    number.get_by_text(said).wait_for()
    picture.first.wait_for()
    choice.locator("input").first.focus()
    for key in ("ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    choice.get_by_text("You said “head”, but the answer is “tail”.").wait_for()
    assert len(lab.cells) == cells
    assert number.locator("input").first.is_disabled() and choice.locator("button").is_hidden()

    lab.assert_clean()  # before the restart: ipympl's canvas complains that its kernel is gone

    page.evaluate("() => window.freehintPanel.sessionContext.session.kernel.restart()")
    page.locator(".fh-dead-said").nth(1).wait_for()


# The harness itself, on notebooks made for it.

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


def test_knobs_change_the_picture(jupyterlab, tmp_path):
    show = "widgets.VBox([grey, shade, negative, side, picture])"
    notebook = write_notebook(tmp_path / "knobs.ipynb", KNOBS, show)
    page = jupyterlab.open(notebook, forked=True)
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


UNCLEAN = """
from IPython.display import HTML, Javascript, display
display(HTML('<img src="http://example.com/a.png">'))
display(Javascript("setTimeout(() => nowhere(), 0)"))
"""


def test_a_cell_that_fails_is_seen(jupyterlab, tmp_path):
    # Not forked: the kernel that a newcomer gets.
    page = jupyterlab.open(write_notebook(tmp_path / "failing.ipynb", "1 / 0"))
    page.run_all()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_clean()


def test_errors_of_the_page_and_requests_to_other_hosts_are_seen(jupyterlab, tmp_path):
    page = jupyterlab.open(write_notebook(tmp_path / "unclean.ipynb", UNCLEAN), forked=True)
    page.run_all()
    # The browser shows outputs after the kernel is idle.
    page.wait_until(lambda: page.errors and page.foreign_requests)
    with pytest.raises(AssertionError, match=r"errors of the page.*nowhere"):
        page.assert_clean()
    page.errors.clear()
    with pytest.raises(AssertionError, match=r"other hosts.*example"):
        page.assert_clean()
