"""The reference: every public docstring reads as its author meant, without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import freehint as fh
from lab import open_offline
from parameters import PAGE, written

ROOT = Path(__file__).parent.parent
# An entry of a list of attributes, parameters or results: its name stands out.
ENTRY = re.compile(r"<li>\s*(?:<p>)?<strong>(.*?)</strong>", re.DOTALL)
NAMES = re.compile(r"[*\w.]+(?:, [*\w.]+)*:?|\([\w, ]+\)")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The reference as ``make docs`` renders it: page -> HTML."""
    (line,) = re.findall(r"-m pdoc (.*) --output-directory out/docs freehint", makefile())
    out = tmp_path_factory.mktemp("docs")
    assert "@EAGER_IMPORT=1 $(BIN)/python -m pdoc" in makefile()
    command = [sys.executable, "-m", "pdoc", *line.split(), "--output-directory", out, "freehint"]
    subprocess.run(
        command, cwd=ROOT, check=True, timeout=120, env=os.environ | {"EAGER_IMPORT": "1"}
    )
    return out


def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def not_names(html: str) -> list[str]:
    """Sentences that were taken for the name of an attribute."""
    entries = [re.sub("<.*?>", "", entry).strip() for entry in ENTRY.findall(html)]
    return [entry for entry in entries if not NAMES.fullmatch(entry)]


def test_every_docstring_is_read_as_it_was_meant(pages):
    assert not_names("<ul><li><strong>capacity counts only</strong></li></ul>")
    for page in pages.rglob("*.html"):
        assert not_names(page.read_text()) == [], page.name


def test_every_public_name_is_there(pages):
    front = (pages / "freehint.html").read_text()
    for name in fh.__all__:
        is_page = (pages / "freehint" / f"{name}.html").is_file()
        assert is_page or f'id="{name}"' in front, name


def test_the_reference_asks_no_other_host(pages):
    page = open_offline(pages / "freehint.html", "reference")
    assert (page.requests, page.errors) == ([], [])
    assert "how should a guest tell its hypervisor" in page.text


def test_the_page_of_parameters_is_that_of_the_code():
    assert PAGE.read_text() == written(), "python tests/parameters.py writes it anew"
