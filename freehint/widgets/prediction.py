"""A prediction: the reader guesses, and only then sees what was measured and how far off it is.

In a running JupyterLab the answer stays in the kernel until the guess is there.  Where nobody can
be asked (papermill, nbconvert, the book, a script), the notebook's own guess is taken.

Source: White and Gunstone, Probing Understanding (1992): predict, observe, explain.
"""

import base64
from html import escape
from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets
from IPython import get_ipython
from IPython.core.formatters import format_display_data
from IPython.display import display

from freehint.config import InputError, require
from freehint.figures.drawing.palette import BLUE
from freehint.widgets.guess import Question, measured
from freehint.widgets.knobs.turns import Turns

FOLDER = Path(__file__).parent
BOX = f"border-left: 4px solid {BLUE}; padding: 2px 14px; margin: 8px 0"


def reader_can_answer() -> bool:
    """Whether the cell that runs was sent by a front end whose user can be asked.

    Jupyter's protocol says so with each cell (``allow_stdin``): JupyterLab allows it, papermill
    and nbconvert do not.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


class Ask(anywidget.AnyWidget):
    """A question with a slider and a field for a number, or with choices, and a button.

    Parameters
    ----------
    question : Question
    answered : callable
        Called with a guess that the question admits; it returns the sentence to show.

    Attributes
    ----------
    said : str
        The sentence on the guess, or why the guess is refused; empty before.
    done : bool
        Whether a guess was taken.
    """

    _esm = (FOLDER / "js" / "prediction.js").read_text()
    _css = (FOLDER / "prediction.css").read_text()
    question = traitlets.Unicode().tag(sync=True)
    between = traitlets.List(traitlets.Float()).tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    guess = traitlets.Any(None, allow_none=True).tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    done = traitlets.Bool(False).tag(sync=True)

    def __init__(self, question: Question, answered):
        super().__init__(
            question=question.text,
            between=list(question.between or ()),
            choices=list(question.choices),
            unit=question.unit,
        )
        self._asked, self._answered = question, answered
        self.on_msg(lambda _, content, __: self.take(content.get("guess")))

    def take(self, guess) -> None:
        """Take the reader's guess, or say why it is refused; a second guess changes nothing."""
        if self.done:
            return
        try:
            self._asked.check("your guess", guess)
        except InputError as error:
            self.said = f"{error}."
            return
        with self.hold_sync():
            self.guess, self.done, self.said = guess, True, self._answered(guess)


class Prediction:
    """A question, a guess, and then the measured answer with the distance between the two.

    Parameters
    ----------
    question : str
    answer : float, sequence of float, namedtuple or str
        What was measured: a number; one number for each seed, which become a mean with its 95 %
        interval; a row of :func:`freehint.paired`, for a difference; or one of the choices.
    guess : float or str
        The guess where nobody can be asked, from the notebook's parameters.
    between : (float, float), optional
        The least and the largest number that can be guessed.
    choices : sequence of str, optional
        What can be chosen, if the answer is no number.
    unit : str
        The unit of the number.
    scale : float
        The unit of the question in the unit of ``answer``: 0.01 for a share in %.
    shown : sequence
        Figures, tables and texts that are displayed with the answer.
    asked : bool, optional
        Whether a reader gives the guess; by default :func:`reader_can_answer`.

    Attributes
    ----------
    panel : VBox or None
        What a reader sees; None if none is asked.
    guess : float or str or None
        None until the reader has given it.

    Raises
    ------
    InputError
        The guess or the answer is of another kind than the question wants, or out of range.

    Examples
    --------
    >>> from freehint.widgets import Prediction
    >>> Prediction("How many of the eight blocks?", 0, 5, between=(0, 8), unit="blocks")
    You said 5 blocks. It is 0 blocks: 5 blocks too high.
    """

    def __init__(
        self,
        question: str,
        answer,
        guess,
        between=None,
        choices=(),
        unit="",
        scale=1,
        shown=(),
        asked: bool | None = None,
    ):
        self.question = Question(question, between, tuple(choices), unit)
        self.question.check("guess", guess)
        if self.question.choices:
            self.question.check("answer", answer)
        else:
            answer = measured(answer, scale)
        require(isinstance(shown, list | tuple), "shown", "be a list of what to display", shown)
        self.answer, self.shown = answer, tuple(shown)
        self.guess, self.panel, self._outputs = guess, None, ()
        if reader_can_answer() if asked is None else asked:
            self.guess, self._below = None, widgets.Output()
            self.ask = Ask(self.question, self._reveal)
            turns = Turns(knobs=[self.ask])  # its script tells when the kernel was restarted
            self.panel = widgets.VBox([self.ask, turns, self._below])
            for name in ("freehint-prediction", "fh-panel"):
                self.panel.add_class(name)

    @property
    def sentence(self) -> str:
        """The guess, the answer, and the distance; empty until there is a guess."""
        return "" if self.guess is None else self.question.sentence(self.guess, self.answer)

    def _reveal(self, guess) -> str:
        self.guess = guess
        self._below.outputs = self._outputs or tuple(map(_as_output, self.shown))
        return self.sentence

    def __repr__(self) -> str:
        return self.sentence or self.question.text

    def _ipython_display_(self) -> None:
        if self.panel is not None:
            # Figures become live only while JupyterLab runs a cell, so not when the guess comes.
            self._outputs = tuple(map(_as_output, self.shown))
            display(self.panel)
            return
        paragraphs = f"<p><b>{escape(self.question.text)}</b></p><p>{escape(self.sentence)}</p>"
        html = f'<div style="{BOX}">{paragraphs}</div>'
        display({"text/html": html, "text/plain": self.sentence}, raw=True)
        display(*self.shown)


def _as_output(shown) -> dict:
    """What displaying an object puts below a cell, in nbformat's form."""
    data, metadata = format_display_data(shown)
    texts = {
        kind: base64.b64encode(part).decode() if isinstance(part, bytes) else part
        for kind, part in data.items()
    }
    return {"output_type": "display_data", "data": texts, "metadata": metadata}
