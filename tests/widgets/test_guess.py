"""Predictions: what may be guessed, the sentence on a guess, and an answer that stays hidden."""

import json
from collections import namedtuple

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import freehint as fh
from freehint import figures
from freehint.studies.thread import thread_story
from freehint.sweeps.paired import interval
from freehint.widgets import Prediction
from freehint.widgets.guess import Measured, Question, measured

SHARE = {"between": (0, 100), "unit": "%"}
WAYS = {"choices": ("head", "tail")}
ROW = namedtuple("Row", "difference half_width seeds")


def said(answer, guess, **question):
    return repr(Prediction("How much?", answer, guess, asked=False, **question))


@pytest.mark.parametrize(
    ("answer", "guess", "question", "sentence"),
    [
        (30.8, 62, SHARE, "You said 62 %. It is 30.8 %: 31.2 points too high."),
        (0, 100, {"between": (0, 200), "unit": "blocks"}, "You said 100 blocks. It is 0 blocks: "
         "100 blocks too high."),
        (7, 7, {"between": (0, 10)}, "You said 7. It is 7: you are right."),
        (42.0, 10, {"between": (0, 99), "unit": "ms"}, "You said 10 ms. It is 42 ms: 32 ms too low,"
         " by a factor of 4.2."),
        ("tail", "tail", WAYS, "You said “tail”, and you are right."),
        ([5.0], 6, SHARE, "You said 6 %. It is 5 % (one seed, so no interval): 1 points too high."),
        ([9, 9, 9], 1, SHARE, "You said 1 %. It is 9 % (the same in all 3 seeds): 8 points too"
         " low."),
        (ROW(-120, 20, 10), 30, {"between": (-99, 99), "unit": "ms", "scale": 10}, "You said +30"
         " ms. It is -12 ms (-14 to -10 over 10 seeds): 42 ms too high."),
        (ROW(1, 2, 10), 1, {"between": (-99, 99), "unit": "points"}, "You said +1 points. It is"
         " +1.0 points (-1.0 to +3.0 over 10 seeds), no difference seen: you are right."),
        (ROW(0.0, 0.0, 10), 4, {"between": (-9, 9), "unit": "ms"}, "You said +4 ms. It is 0 ms (the"
         " same in all 10 seeds), no difference seen: 4 ms too high."),
    ],
)  # fmt: skip
def test_a_guess_is_told_how_far_off_it_was(answer, guess, question, sentence):
    assert said(answer, guess, **question) == sentence


def test_the_interval_over_seeds_is_that_of_paired():
    shares = pd.Series([0.66, 0.75, 0.70, 0.74, 0.69])
    mean, half = interval(100 * shares)
    assert measured(shares, 0.01)[:3] == pytest.approx((mean, half, 5))
    ends = f"({mean - half:.0f} to {mean + half:.0f} over 5 seeds)"
    assert said(shares, 40, scale=0.01, **SHARE) == (
        f"You said 40 %. It is {mean:.0f} % {ends}: {mean - 40:.0f} points too low."
    )
    assert said(shares, round(mean), scale=0.01, **SHARE).endswith(": you are right.")
    assert said(shares, mean + half / 2, scale=0.01, **SHARE).endswith("within the interval.")


def test_a_row_of_paired_is_a_difference():
    runs = {"policy": ["a", "b"] * 3, "seed": [1, 1, 2, 2, 3, 3], "x": [1, 3, 2, 4, 3, 6]}
    (row,) = fh.paired(pd.DataFrame(runs), ["x"], against="a").itertuples()
    assert measured(row) == Measured(row.difference, row.half_width, 3, difference=True)


@pytest.mark.parametrize(
    ("answer", "guess", "question", "sentence"),
    [
        (1, 140, SHARE, "guess must be a number from 0 to 100 %, got 140"),
        (1, -0.5, SHARE, "guess must be a number from 0 to 100 %, got -0.5"),
        (1, "40", SHARE, "guess must be a number from 0 to 100 %, got '40'"),
        (1, True, SHARE, "guess must be a number from 0 to 100 %, got True"),
        (1, None, SHARE, "guess must be a number from 0 to 100 %, got None"),
        (1, float("nan"), SHARE, "guess must be a number from 0 to 100 %, got nan"),
        ("head", "tial", WAYS, "guess must be one of head, tail, got 'tial'; did you mean 'tail'?"),
        ("hand", "tail", WAYS, "answer must be one of head, tail, got 'hand'"),
        ([1, np.nan], 4, SHARE, "answer must be numbers, one for each seed, got"),
        ([], 4, SHARE, "answer must be numbers, one for each seed, got []"),
        ("1", 4, SHARE, "answer must be a finite number, one for each seed, or a row of paired()"),
        (1, 4, {}, "a question has either between, for a number, or choices"),
        (1, 4, {**SHARE, **WAYS}, "a question has either between, for a number, or choices"),
        (1, 4, {"between": (9, 1)}, "between must be two numbers, the smaller one first"),
        ("a", "a", {"choices": ("a",)}, "choices must be different texts, at least two, got"),
        (1, 4, {**SHARE, "shown": "text"}, "shown must be a list of what to display, got 'text'"),
    ],
)  # fmt: skip
def test_what_cannot_be_guessed_or_measured_is_refused(answer, guess, question, sentence):
    with pytest.raises(fh.InputError) as error:
        said(answer, guess, **question)
    assert str(error.value).startswith(sentence)


def state_of(prediction) -> str:
    """All that the browser knows of a prediction."""
    inside = (prediction.panel, *prediction.panel.children)
    return json.dumps([str(widget.get_state()) for widget in inside])


def test_the_answer_stays_in_the_kernel_until_the_guess():
    picture = figures.story(thread_story()).figure
    table = pd.DataFrame({"told": [31415]})
    asked = Prediction("How much?", 27.25, 50, **SHARE, shown=[picture, table], asked=True)
    assert asked.guess is None and asked.sentence == "" and repr(asked) == "How much?"
    for secret in ("27.2", "31415", "image/png"):
        assert secret not in state_of(asked)
    for wrong in (140, "50", None):
        asked.ask.take(wrong)
        assert asked.ask.said.startswith("your guess must be a number from 0 to 100 %, got")
        assert not asked.ask.done and "27.2" not in state_of(asked)
    asked.ask.take(20)
    assert asked.ask.done and asked.guess == 20
    assert asked.ask.said == asked.sentence == "You said 20 %. It is 27.2 %: 7.25 points too low."
    below = asked.panel.children[-1].outputs
    assert [list(one["data"]) for one in below] == [
        ["text/plain", "image/png"],
        ["text/plain", "text/html"],
    ]
    json.dumps(below)  # no bytes are left in it
    asked.ask.take(27)
    assert asked.guess == 20


def test_the_texts_of_a_page_are_escaped():
    told = []
    question = Question("<img src=x>", choices=("<b>", "&"))
    prediction = Prediction(question.text, "&", "<b>", choices=question.choices, asked=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freehint.widgets.prediction.display", lambda *one, **_: told.extend(one))
        prediction._ipython_display_()
    assert "&lt;img src=x&gt;" in told[0]["text/html"] and "“&amp;”" in told[0]["text/html"]
    assert "<img" not in told[0]["text/html"] and "<b>”" not in told[0]["text/html"]


def test_where_nobody_can_be_asked_the_page_has_guess_answer_and_picture():
    cells = [
        "from freehint import figures\nfrom freehint.studies.thread import thread_story\n"
        "from freehint.widgets import Prediction",
        "told = figures.story(thread_story()).figure",
        "Prediction('How much?', [1, 2, 3], 40, between=(0, 100), unit='%', shown=[told])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=600).execute()
    page, picture = notebook.cells[-1].outputs
    assert "You said 40 %. It is 2 % (0 to 4 over 3 seeds): 38 points" in page.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in page.data
    assert picture.data["image/png"]
