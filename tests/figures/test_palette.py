"""Colours that stand in one legend are told apart, by colour-blind readers too."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from freehint.figures import FIGURES
from freehint.figures.drawing.palette import (
    BY_NAME,
    FATES,
    ORDERS,
    STATES,
    THEMES,
    TRACKS,
    TYPES,
    WINE,
    WORDS,
    meanings_in,
)

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
LEAST = 15.0  # CIE76; a just noticeable difference is about 2.3


def linear(colour: str) -> np.ndarray:
    """Linear RGB of #rrggbb."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of linear RGB, white D65."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, vision: str) -> float:
    seen = [lab(VISION[vision] @ linear(colour)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def test_known_distances():
    assert distance("#000000", "#FFFFFF", "normal") == pytest.approx(100, abs=0.01)
    assert distance("#FF0000", "#00FF00", "normal") == pytest.approx(170.6, abs=0.5)
    assert distance("#FF0000", "#00FF00", "deuteranopia") < 80


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "legend",
    [
        STATES,
        (*TYPES, "pcp"),
        TRACKS,
        FATES,
        (*ORDERS.values(), "pcp", "paper"),
        ("hinted", "stale", "lost"),
        ("left", "used"),
    ],
    ids=",".join,
)
def test_colours_of_one_legend_are_told_apart(legend, theme, vision):
    colours = THEMES[theme]
    for one, other in combinations(legend, 2):
        apart = distance(colours[one], colours[other], vision)
        assert apart >= LEAST, f"{one} and {other}: {apart:.1f}"


@pytest.mark.parametrize("theme", THEMES)
def test_words_are_read(theme):
    """WCAG 2's contrast: 4.5 for text."""
    colours = THEMES[theme]
    light = {name: float(linear(c) @ TO_XYZ[1]) for name, c in colours.items()}
    for word in ("ink", "faint"):
        for ground in ("paper", "panel"):
            high, low = sorted((light[word], light[ground]), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (word, ground)


ROOT = Path(__file__).parents[2]
COLOURS = {name: {colour} for name, colour in (BY_NAME | {"wine": WINE}).items()}
COLOURS["blue"] |= COLOURS["sky"]  # as people say
COLOURS["grey"] |= {THEMES["light"]["used"]}
NAMED = re.compile(rf"\b({'|'.join(COLOURS)})\b", re.IGNORECASE)
CLAUSE = re.compile(r"[.;,]\s+|\s+and\s+|\n\n")


def clauses() -> dict:
    """Those that name a colour, of captions of figures, and of notebooks and documents."""
    found = {name: draw.caption for name, draw in FIGURES.items()}
    notebooks = [*sorted(ROOT.glob("notebooks/*.ipynb"))]
    for path in (*notebooks, ROOT / "README.md", *ROOT.glob("docs/*.md")):
        found[path.name] = path.read_text()
    for path in notebooks:
        cells = json.loads(found[path.name])["cells"]
        words = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        found[path.name] = "\n\n".join(words)
    split = {name: CLAUSE.split(text) for name, text in found.items()}
    return {name: [one for one in its if NAMED.search(one)] for name, its in split.items()}


def wrong_colours(clause: str) -> list:
    """The colours that a clause names, if it names meanings and none of both go together."""
    meanings = meanings_in(re.sub(r"\s+", " ", clause))
    meant = {THEMES["light"][meaning] for meaning in meanings}
    named = {colour.lower() for colour in NAMED.findall(clause)}
    fits = not meant or any(COLOURS[colour] & meant for colour in named)
    return [] if fits else sorted(named)


def test_sentences_name_the_colours_of_what_they_mean():
    found = [(name, clause) for name, its in clauses().items() for clause in its]
    assert sum(bool(meanings_in(clause)) for _, clause in found) >= 10
    wrong = [(name, clause) for name, clause in found if wrong_colours(clause)]
    assert wrong == []
    assert wrong_colours("green blocks were lost") == ["green"]


def test_every_word_of_a_meaning_has_a_colour():
    for theme, colours in THEMES.items():
        assert WORDS.keys() <= colours.keys(), theme
