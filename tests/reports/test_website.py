"""The book of the notebooks: run once, linked, searched, and played without a network."""

import json

import nbformat
import pytest

from freehint.config import InputError
from freehint.reports.book.build import EXECUTED, is_fresh, main, write_book
from freehint.reports.book.chapter import sections_of, to_pages
from freehint.reports.book.views import STATE, Views
from lab import MOMENT, PLAYER, chromium, new_page

INDEX = """# What is in this book?

[one](one.ipynb) and [two](two.ipynb), [one](one.ipynb) again."""
ONE = ["# One?\n\nThe quokka is at home in [two](two.ipynb#A-player).", "6 * 7"]
TWO = [
    "# Two?\n\nNothing here.",
    "## A player\n\nIt is linked to another, <b>beside</b> the wombat.",
    "import ipywidgets\nimport freehint as fh\nfrom freehint.widgets import in_step\n"
    "run = fh.Scenario(memory='64MiB', duration_ns=10_000_000, walk_at_ns=1_000_000)\n"
    "players = [fh.widgets.Player(fh.record(run, moments=20)) for _ in range(2)]\n"
    "ipywidgets.VBox([ipywidgets.IntSlider(7, description='a knob'), in_step(*players)])",
]


def write(path, cells):
    """A notebook; what begins with # is prose."""
    new = nbformat.v4
    made = [(new.new_markdown_cell if c[0] == "#" else new.new_code_cell)(c) for c in cells]
    nbformat.write(new.new_notebook(cells=made), path)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of two chapters, and what was said while it was built twice and once changed."""
    folder = tmp_path_factory.mktemp("book")
    write(folder / "index.ipynb", [INDEX])
    write(folder / "one.ipynb", ONE)
    write(folder / "two.ipynb", TWO)
    said = []
    for _ in range(2):
        write_book(folder / "index.ipynb", folder / "out", said.append)
    return folder / "out", said


def test_a_chapter_that_did_not_change_is_not_run_again(book):
    folder, said = book
    assert said[0] == "0 of 3 notebooks are unchanged"
    assert sorted(line.split(": ")[1].split(",")[0] for line in said[1:4]) == [
        "index",
        "one",
        "two",
    ]
    assert said[4:] == ["3 of 3 notebooks are unchanged"]
    assert sorted(p.name for p in folder.iterdir()) == [
        *(EXECUTED, "index.html", "one.html", "two.html")
    ]


def test_the_book_is_read_without_a_network(book):
    folder, _ = book
    asked, errors = [], []
    with chromium() as browser:
        page = new_page(browser, offline=True, viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((folder / "one.html").as_uri())
        assert page.locator("nav [aria-current]").inner_text() == "One?"
        assert not page.locator(".highlight").is_visible()
        assert "42" in page.locator(".output").inner_text()

        page.keyboard.press("/")
        page.keyboard.type("WOMBAT")
        assert page.locator("#count").inner_text() == "1 section"
        assert page.locator("#found mark").inner_text() == "wombat"
        page.keyboard.press("Enter")
        page.wait_for_url("**/two.html#A-player")

        page.wait_for_function("document.querySelectorAll('.fh-player[data-ready]').length === 2")
        assert page.locator(".knob").inner_text() == "a knob 7"
        page.locator(PLAYER).first.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        moments = (
            "[...document.querySelectorAll('.fh-player')].map((p) => Number(p.dataset.moment))"
        )
        page.wait_for_function(f"{moments}.join() === '1,1'")
        page.keyboard.press(" ")
        page.wait_for_function(f"{MOMENT} === 19")

        page.locator("#search").fill("quokka <img src=x>")
        assert page.locator("#count").inner_text() == "0 sections"
        page.locator("#search").fill("")
        page.get_by_role("link", name="One?").click()
        page.wait_for_url("**/one.html")
        page.locator("main a", has_text="two").click()
        page.wait_for_url("**/two.html#A-player")
    inside = (folder.as_uri(), "data:", "blob:")
    assert [url for url in asked if not url.startswith(inside)] == []
    assert errors == []


def test_a_failed_chapter_is_named_and_the_others_are_kept(tmp_path, capsys):
    write(tmp_path / "index.ipynb", ["# Contents?\n\n[bad](bad.ipynb)"])
    write(tmp_path / "bad.ipynb", ["# Bad?", "1 / 0"])
    out = tmp_path / "out"
    assert main([str(tmp_path / "index.ipynb"), str(out)]) == 1
    assert "1 of 2 failed: bad: ZeroDivisionError: division by zero" in capsys.readouterr().err
    assert [str(p.relative_to(out)) for p in out.rglob("*.*")] == [f"{EXECUTED}/index.ipynb"]


@pytest.mark.parametrize(
    ("prose", "sentence"),
    [
        ("# Contents?", "the contents have no link to a notebook"),
        ("# Contents?\n\n[x](gone.ipynb)", "there is no notebook gone.ipynb beside it"),
    ],
)
def test_contents_without_chapters_are_refused(tmp_path, prose, sentence):
    write(tmp_path / "index.ipynb", [prose])
    with pytest.raises(InputError, match=sentence):
        write_book(tmp_path / "index.ipynb", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_a_whole_notebook_with_the_same_key_is_fresh(tmp_path):
    path = tmp_path / "one.ipynb"
    assert not is_fresh(path, "k")
    for text, fresh in [
        ('{"metadata": {"freehint_book": {"key": "k"}}}', True),
        ('{"metadata": {"freehint_book": {"key": "other"}}}', False),
        ('{"metadata": {"freehint_book"', False),
        ("[]", False),
    ]:
        path.write_text(text)
        assert is_fresh(path, "k") is fresh, text


def test_links_to_chapters_lead_to_pages_and_other_links_stay():
    body = '<a href="one.ipynb#x">1</a> <a href="./one.ipynb"> <a href="mine.ipynb">'
    assert to_pages(body, {"one"}) == (
        '<a href="one.html#x">1</a> <a href="one.html"> <a href="mine.ipynb">'
    )


def test_sections_hold_all_words_but_scripts():
    body = (
        '<h1 id="a">A <b>title</b><a class="anchor-link" href="#a">¶</a></h1><p>words</p>'
        '<script>no</script><style>no</style><h2 id="b">B</h2><td>1</td> <td>2</td>'
    )
    first, second = sections_of(body)
    assert (first.title, first.anchor, first.level, first.text) == ("A title", "a", 1, "words")
    assert (second.title, second.text) == ("B", "1 2")


def test_a_widget_that_is_not_known_is_counted_and_boxes_in_a_circle_end():
    def model(name, **state):
        return {"model_name": f"{name}Model", "state": state}

    box = model("VBox", children=["IPY_MODEL_knob", "IPY_MODEL_box", "IPY_MODEL_strange"])
    knob = model("SelectionSlider", description="rotate <", _options_labels=["a", "<b>"], index=1)
    saved = {"box": box, "knob": knob, "strange": model("Strange")}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {STATE: {"state": saved}}})
    views = Views(notebook)
    assert ">rotate &lt; <b>&lt;b&gt;</b></span>" in views.html("box")
    assert set(views.unknown) == {"Strange"}
    assert json.loads(views.scripts().split(">")[1].split("<")[0]) == {}
