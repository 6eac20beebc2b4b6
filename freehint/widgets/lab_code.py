"""The bench's code in the browser: a button that copies it, and a text to copy by hand."""

from pathlib import Path

import anywidget
import traitlets

FOLDER = Path(__file__).parent


class LabCode(anywidget.AnyWidget):
    """A button that puts ``code`` on the clipboard and shows it.

    Attributes
    ----------
    code : str
    dark : bool
        Is the page dark?  The browser says so.
    """

    _esm = (FOLDER / "js" / "lab_code.js").read_text()
    _css = (FOLDER / "lab.css").read_text()
    code = traitlets.Unicode().tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
