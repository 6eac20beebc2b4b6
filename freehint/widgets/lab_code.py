"""The bench's code in the browser: a button that copies it, and the text to copy by hand."""

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
        Whether the page is dark; the browser sets it.
    """

    _esm = (FOLDER / "js" / "lab_code.js").read_text()
    _css = (FOLDER / "lab.css").read_text()
    code = traitlets.Unicode().tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
