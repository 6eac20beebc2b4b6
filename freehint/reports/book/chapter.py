"""One executed notebook as the page of a book: its HTML, its headings and its words."""

import re
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from pathlib import Path

from freehint.config import extra
from freehint.reports.book.views import VIEW, Views
from freehint.reports.notebook import DISPLAY, OTHER_HOSTS, is_progress

TEMPLATE = Path(__file__).with_name("chapter.j2")
SILENT = ("script", "style", "svg")


@dataclass(frozen=True)
class Section:
    """A part of a chapter, from one heading to the next.

    Attributes
    ----------
    title : str
    anchor : str
        The heading's id in the page.
    level : int
        1 for the title of the chapter.
    text : str
        All words, those of folded code and of results too.
    """

    title: str
    anchor: str
    level: int
    text: str


@dataclass(frozen=True)
class Chapter:
    """A rendered chapter.

    Attributes
    ----------
    name : str
        Name of the notebook's file, without its ending.
    body : str
        HTML of all cells.
    scripts : str
        What the chapter's widgets need; empty if none plays.
    sections : list of Section
    unknown : list of str
        Kinds of widgets that could not be drawn.
    """

    name: str
    body: str
    scripts: str
    sections: list
    unknown: list

    @property
    def title(self) -> str:
        """The first heading."""
        return self.sections[0].title if self.sections else self.name


def render_chapter(name: str, notebook, folder: Path, chapters) -> Chapter:
    """Render an executed notebook.

    Parameters
    ----------
    name : str
    notebook : NotebookNode
        It is changed.
    folder : Path
        Where the notebook stands, for the pictures that it names.
    chapters : collection of str
        Names of all chapters; links to their notebooks become links to their pages.
    """
    nbconvert = extra("nbconvert", "a book", "lab")
    from traitlets.config import Config

    views = Views(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(views_of(views), cell.outputs) if not is_progress(o)]
    notebook.metadata.pop("widgets", None)
    config = Config()
    config.NbConvertBase.display_data_priority = list(DISPLAY)
    exporter = nbconvert.HTMLExporter(
        config=config,
        raw_template=TEMPLATE.read_text(),
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        **dict.fromkeys(OTHER_HOSTS, ""),
    )
    where = {"metadata": {"path": str(folder)}}
    body = to_pages(exporter.from_notebook_node(notebook, resources=where)[0], chapters)
    scripts = views.scripts() if views.played else ""
    return Chapter(name, body, scripts, sections_of(body), sorted(set(views.unknown)))


def views_of(views: Views):
    """A function that puts HTML in the place of an output's widget."""

    def viewed(output):
        data = output.get("data", {})
        model_id = data.get(VIEW, {}).get("model_id", "")
        html = views.html(model_id) if model_id in views else ""
        if html:
            output.data = {"text/html": html}
        return output

    return viewed


def to_pages(body: str, chapters) -> str:
    """Links between notebooks become links between pages."""

    def to_page(link):
        name, rest = link[1], link[2] or ""
        return f'href="{name}.html{rest}"' if name in chapters else link[0]

    return re.sub(r'href="(?:\./)?(\w+)\.ipynb(#[^"]*)?"', to_page, body)


class _Words(HTMLParser):
    """Collects the words of a page, heading by heading."""

    def __init__(self):
        super().__init__()
        self.sections, self._silent, self._heading, self._link = [], 0, None, False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self._silent += tag in SILENT
        self._link = tag == "a" and attributes.get("class") == "anchor-link"
        if re.fullmatch("h[1-4]", tag) and "id" in attributes:
            self._heading = tag
            self.sections.append([[], attributes["id"], int(tag[1]), []])

    def handle_endtag(self, tag):
        self._silent -= tag in SILENT
        self._link = False
        if tag == self._heading:
            self._heading = None

    def handle_data(self, data):
        if self._silent or self._link or not self.sections:
            return
        self.sections[-1][0 if self._heading else 3].append(data)


def sections_of(body: str) -> list:
    """The sections of a page."""
    words = _Words()
    words.feed(body)
    return [
        Section(_line(title), anchor, level, _line(text))
        for title, anchor, level, text in words.sections
    ]


def _line(parts: list) -> str:
    # Elements end words; but not those within a line, such as <b>, so nothing is put between.
    return " ".join("".join(parts).split())


def contents(chapter: Chapter) -> str:
    """Links to a chapter's sections, for the sidebar."""
    links = [
        f'<li><a href="#{escape(s.anchor)}">{escape(s.title)}</a></li>'
        for s in chapter.sections
        if s.level == 2
    ]
    return f"<ol>{''.join(links)}</ol>" if links else ""
