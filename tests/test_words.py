"""One word for one thing: docs/model.md defines the words for places, the code keeps to them."""

import inspect
import re
from pathlib import Path

import freehint as fh
from freehint.engine.world.ring import Ring
from freehint.engine.world.world import World

ROOT = Path(__file__).parent.parent
# What shows one moment after another: no frame here is a page frame but these.
SHOWN = ("widgets/js/*.js", "widgets/player/*", "widgets/*.css", "reports/*.py", "reports/*.html")
OTHERS = re.compile(r"frameon|AnimationFrame|DataFrame|memory\.frame|page frame")


def test_the_words_of_places_are_said_once():
    words = (ROOT / "docs" / "model.md").read_text().split("## Words")[1].split("\n## ")[0]
    for word in ("node", "page", "pfn", "block", "slot"):
        assert words.count(f"- **{word}**: ") == 1


def test_fields_are_called_what_they_hold():
    assert "fate" in World._fields and "page" not in World._fields
    assert Ring._fields == ("blocks", "count")


def test_a_frame_is_a_page_frame_and_never_a_films():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for pattern in SHOWN
        for path in (ROOT / "freehint").glob(pattern)
        if path.is_file()
        for line in path.read_text().splitlines()
        if re.search("frame", OTHERS.sub("", line), re.IGNORECASE)
    ]
    assert found == []
    assert "moments" in inspect.signature(fh.record).parameters
    assert fh.widgets.Player.class_trait_names().count("moment") == 1
