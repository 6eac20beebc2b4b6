"""The words of the debate, and their meanings under the pointer.

The only place in which they are defined is the table of the section Words of ``docs/model.md``.
"""

import json
import re
from functools import cache
from importlib import resources
from pathlib import Path

from IPython.display import HTML

from freehint.config import InputError
from freehint.reports.folded import folded_html

SCRIPT = Path(__file__).with_suffix(".js")
STYLE = "abbr[title] { text-decoration: underline dotted; cursor: help; }"
ROW = re.compile(r"^\| (?!word \|)([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TITLE = "Words of the debate (a dotted word shows its meaning under the pointer)"


@cache
def meanings() -> dict:
    """Each word of the glossary -> its meaning; the forms of a word share one meaning.

    Raises
    ------
    InputError
        docs/model.md is missing from this installation.
    """
    return {
        form: meaning.replace("`", "")
        for forms, meaning in ROW.findall(_section())
        for form in forms.split(", ")
    }


def _section() -> str:
    package = Path(str(resources.files("freehint")))
    for place in (package.parent / "docs", package / "_docs"):
        if (place / "model.md").is_file():
            text = (place / "model.md").read_text(encoding="utf-8")
            return text.split("\n## Words\n")[1].split("\n## ")[0]
    raise InputError("docs/model.md is missing from this installation of freehint")


def glossary_script() -> str:
    """HTML that lets the words of a page show their meanings: a style and a script."""
    pairs = json.dumps(list(meanings().items())).replace("<", "\\u003c")
    return f"<style>{STYLE}</style><script>({SCRIPT.read_text()})({pairs})</script>"


def glossary() -> HTML:
    """The words of the debate with their meanings, for a notebook.

    The table is folded away.  From then on its words show their meanings under the pointer, each
    once in every cell of prose and in every table of the page.

    Returns
    -------
    HTML

    Raises
    ------
    InputError
        docs/model.md, which defines the words, is missing from this installation.

    Examples
    --------
    >>> import freehint as fh
    >>> "the allocator hands them out last" in fh.glossary().data
    True
    """
    return HTML(folded_html(TITLE, '<div class="fh-glossary"></div>') + glossary_script())
