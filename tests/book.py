"""The notebooks as one book: their order, their measures, and the links between them.

python tests/book.py [NAME ..]     # make gallery: the pictures of the contents (of all chapters,
                                   # or of these), and the links at the end of each chapter
"""

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from freehint.files import whole_file
from freehint.reports.batch.worker import picture_of
from freehint.reports.notebook import NAVIGATION

FOLDER = Path(__file__).parent.parent / "notebooks"
GALLERY = FOLDER / "gallery"
INDEX = "index"
# A new chapter goes in here, and into the table of the index; this script does the rest.
ORDER = (
    "verdict",
    *("00_start_here", "01_free_lists", "02_the_walk", "03_rotation", "04_the_cursor"),
    *("05_hold_the_lock", "06_five_steps", "07_the_ring", "08_what_linux_merged"),
    *("09_live_migration", "10_is_it_the_real_kernel", "11_after_the_migration"),
    *("12_against_a_real_qemu", "13_how_fast", "14_the_thread_on_a_real_kernel"),
    "15_can_it_corrupt",
    "16_under_pressure",
    "17_park_and_restore",
    "18_what_others_measured",
    *("compile", "overcommit", "factorial"),
    *("lab", "report"),
)
CHAPTERS = tuple(name for name in ORDER if (FOLDER / f"{name}.ipynb").exists())
THUMBNAIL = "thumbnail"  # the tag of a chapter's most telling picture; else its first is taken
WIDTH, COLOURS, MOST_BYTES = 480, 64, 40_000


def read(name: str):
    """A chapter, or the index."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def tags(cell) -> list:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def question(notebook) -> str:
    """The first heading of a notebook, without its mark."""
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def neighbours(name: str) -> tuple:
    """The chapters before and after one; the index before the first, None after the last."""
    around = (INDEX, *CHAPTERS, None)
    at = around.index(name)
    return around[at - 1], around[at + 1]


def navigation(name: str) -> str:
    """The line that ends a chapter."""
    before, after = neighbours(name)
    links = ["[Contents](index.ipynb)"]
    if before != INDEX:
        links.insert(0, f"Before: [{question(read(before))}]({before}.ipynb)")
    if after:
        links.append(f"Next: [{question(read(after))}]({after}.ipynb)")
    return "---\n\n" + " | ".join(links)


def links(notebook) -> list:
    """Addresses of all links and pictures in a notebook's prose."""
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)


def prose_words(notebook) -> int:
    """Words of prose, the line of links left out."""
    prose = [c for c in notebook.cells if c.cell_type == "markdown" and NAVIGATION not in tags(c)]
    return sum(len(cell.source.split()) for cell in prose)


def code_lines(cell) -> list:
    """Lines of a code cell that are not blank."""
    return [line for line in cell.source.splitlines() if line.strip()]


def write_navigation(name: str) -> None:
    """Bring the line that ends a chapter up to date."""
    notebook = read(name)
    notebook.cells = [c for c in notebook.cells if NAVIGATION not in tags(c)]
    cell = nbformat.v4.new_markdown_cell(navigation(name), id=NAVIGATION)
    cell.metadata["tags"] = [NAVIGATION]
    notebook.cells.append(cell)
    with whole_file(FOLDER / f"{name}.ipynb") as temporary:
        nbformat.write(notebook, temporary)


def write_thumbnail(name: str) -> None:
    """Run a chapter and keep its most telling picture, small."""
    notebook = read(name)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    found = picture_of(notebook, THUMBNAIL) or picture_of(notebook)
    if found is None:
        raise SystemExit(f"{name}: has no picture; tag the cell of one with {THUMBNAIL!r}")
    picture = Image.open(io.BytesIO(base64.b64decode(found))).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    with whole_file(GALLERY / f"{name}.png") as temporary:
        small.quantize(COLOURS, dither=Image.Dither.NONE).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    for chapter in sys.argv[1:] or CHAPTERS:
        print(chapter, flush=True)
        write_navigation(chapter)
        write_thumbnail(chapter)
