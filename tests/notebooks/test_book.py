"""The notebooks as one book: each within its measures, all linked, none with a dead link."""

import re
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import book
from freehint.reports.notebook import render

ROOT = Path(__file__).parents[2]
MOST_LINES, MOST_DEF_LINES, LEAST_WORDS = 5, 10, 5
# An import cell has a line a module; a parameters cell, a line a parameter and its tables.
MOST_IMPORT_LINES = 10


def kind_of(cell) -> str:
    """parameters, imports (with the settings of pandas' display), or code."""
    if "parameters" in book.tags(cell):
        return "parameters"
    head = ("import ", "from ", "pd.set_option(")
    return "imports" if all(x.startswith(head) for x in book.code_lines(cell)) else "code"


def complaints(notebook) -> list:
    """One sentence for each measure that a chapter does not keep."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    most = {"code": MOST_LINES, "imports": MOST_IMPORT_LINES, "parameters": 99}
    found = [
        f"a cell of {len(book.code_lines(c))} lines: {c.source[:40]!r}"
        for c in code
        if len(book.code_lines(c)) > most[kind_of(c)]
    ]
    found += [f"a def of {n} lines: {name}" for c in code for name, n in long_defs(c.source)]
    lines, words = sum(len(book.code_lines(c)) for c in code), book.prose_words(notebook)
    if words < LEAST_WORDS * lines:
        found.append(f"{words} words of prose for {lines} lines of code")
    if not re.search(r"\?\W*$", book.question(notebook)):
        found.append(f"does not open with a question: {book.question(notebook)!r}")
    if [c for c in code if c.outputs]:
        found.append("outputs are left in it")
    return found


def long_defs(source: str) -> list:
    """Names and lengths of the functions that are too long."""
    found = []
    for match in re.finditer(r"^def (\w+).*\n((?:(?:[ \t].*)?\n?)*)", source, re.MULTILINE):
        length = 1 + len([line for line in match[2].splitlines() if line.strip()])
        if length > MOST_DEF_LINES:
            found.append((match[1], length))
    return found


@pytest.mark.parametrize("name", book.CHAPTERS)
def test_a_chapter_keeps_to_its_measures(name):
    assert complaints(book.read(name)) == []


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("a = 1\n" * 6, "a cell of 6 lines"),
        ("import a\n" * 11, "a cell of 11 lines"),
        ("def f():\n" + "    pass\n" * 10, "a def of 11 lines: f"),
        ("a = 1\n\n\nb = 2", "1 words of prose for 2 lines of code"),
    ],
)
def test_a_chapter_beyond_its_measures_is_found(cell, complaint):
    cells = [nbformat.v4.new_markdown_cell("# Why?"), nbformat.v4.new_code_cell(cell)]
    cells[0].source = cells[0].source.replace(" ", "")
    found = complaints(nbformat.v4.new_notebook(cells=cells))
    assert any(sentence.startswith(complaint) for sentence in found), found


def test_every_notebook_is_in_the_book():
    there = {path.stem for path in book.FOLDER.glob("*.ipynb")}
    assert there == {book.INDEX, *book.CHAPTERS}


@pytest.mark.parametrize("name", book.CHAPTERS)
def test_a_chapter_ends_with_links_to_its_neighbours(name):
    last = book.read(name).cells[-1]
    assert last.source == book.navigation(name), "python tests/book.py brings the links up to date"
    before, after = book.neighbours(name)
    wanted = {f"{book.INDEX}.ipynb", f"{before}.ipynb"} | ({f"{after}.ipynb"} if after else set())
    assert set(re.findall(r"\]\(([^)]+)\)", last.source)) == wanted


@pytest.mark.parametrize("name", (book.INDEX, *book.CHAPTERS))
def test_no_link_is_dead(name):
    found = book.links(book.read(name))
    assert found
    for link in found:
        assert (book.FOLDER / link).is_file(), link


def test_the_contents_have_every_chapter_in_order_with_its_question_and_its_picture():
    notebook = book.read(book.INDEX)
    assert {cell.cell_type for cell in notebook.cells} == {"markdown"}
    text = "\n".join(cell.source for cell in notebook.cells)
    picture, title = (
        r"\[!\[[^\]]+\]\(gallery/(\w+)\.png\)\]\((\w+)\.ipynb\)",
        r"\[(.+)\]\((\w+)\.ipynb\)",
    )
    rows = re.findall(rf"^\| {picture} \| \*\*{title}\*\* .{{40}}", text, re.MULTILINE)
    assert [row[0] for row in rows] == list(book.CHAPTERS)
    for picture, to, title, to_again in rows:
        assert picture == to == to_again
        assert title == book.question(book.read(to))


@pytest.mark.parametrize("name", book.CHAPTERS)
def test_a_thumbnail_is_small_and_light(name):
    path = book.GALLERY / f"{name}.png"
    assert path.stat().st_size <= book.MOST_BYTES
    picture = Image.open(path)
    assert picture.width == book.WIDTH
    shades = picture.convert("L").histogram()
    assert sum(shades[200:]) > sum(shades) / 3


def test_there_are_no_other_thumbnails():
    assert {path.stem for path in book.GALLERY.iterdir()} == set(book.CHAPTERS)


def test_the_readme_has_every_chapter_with_its_question():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == [book.INDEX, *book.CHAPTERS]


def test_a_rendered_report_has_no_links_to_other_chapters():
    html = render(book.FOLDER / "report.ipynb")
    assert book.question(book.read("report")) in html
    assert ".ipynb" not in html
