"""The words of the debate: defined once, and shown wherever people read them."""

import re
from pathlib import Path

import pytest

import book
import freehint as fh
from freehint.reports import glossary
from lab import chromium, new_page

ROOT = Path(__file__).parents[2]
PAGE = """<main data-glossary><h2>A stroke</h2>
<p>Strokes and <code>v24</code>, <code>v24 = 1</code>, <a href="#x">a lap</a>, and no overlap.</p>
<p>A second stroke; if A and only
A is gone, done is not DONE.</p></main><p>A lap.</p>
<details><div class="fh-glossary"></div></details>"""
ABBRS = "[...document.querySelectorAll('abbr')]"
SEEN = f"Object.fromEntries({ABBRS}.map((a) => [a.innerText, a.title]))"


def test_every_word_of_the_issue_is_defined_once():
    text = (ROOT / "docs" / "model.md").read_text().split("## Words")[1].split("\n## ")[0]
    table = re.findall(r"^\| (.*) \| (.*) \|$", text, re.MULTILINE)[1:]
    words = [word for forms, _ in table for word in forms.split(", ")]
    assert list(glossary.meanings()) == words and len(set(words)) == len(words)
    assert len({meaning for _, meaning in table}) == len(table)
    wanted = "v24 stroke stale survival pcp hint report lap cursor ring pageblock migratetype host"
    assert {*wanted.split(), "A and only A", "five steps", "dirty log"} <= set(words)
    for word, meaning in table:
        assert meaning[-1] == "." and len(meaning) > 20, word


def test_a_word_shows_its_meaning_once_and_only_in_prose(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f'<meta charset="utf-8">{PAGE}{glossary.glossary_script()}')
    of = glossary.meanings()
    with chromium() as browser:
        page = new_page(browser)
        page.goto(path.as_uri())
        marked = {"Strokes": "stroke", "v24": "v24", "A and only A": "A and only A", "DONE": "DONE"}
        wanted = {text: of[word] for text, word in marked.items()}
        assert page.evaluate(SEEN) == wanted
        assert page.locator("h2 abbr, a abbr").count() == 0
        assert page.locator(".fh-glossary tr").count() == len(set(of.values()))

        # A cell that comes later is marked too; the same script again changes nothing.
        page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<p>Laps.')")
        page.wait_for_selector("main p abbr:text-is('Laps')")
        page.evaluate(f"({glossary.SCRIPT.read_text()})([['lap', 'a lap']])")
        assert page.evaluate(f"{ABBRS}.length") == len(wanted) + 1


@pytest.mark.parametrize("name", book.CHAPTERS)
def test_a_chapter_has_the_glossary(name):
    sources = [c.source for c in book.read(name).cells if c.cell_type == "code"]
    assert sources.count("fh.glossary()") == 1


def test_an_installation_without_the_words_says_so(monkeypatch, tmp_path):
    glossary.meanings.cache_clear()
    monkeypatch.setattr(glossary.resources, "files", lambda package: tmp_path / package)
    with pytest.raises(fh.InputError, match=r"docs/model\.md is missing"):
        fh.glossary()
