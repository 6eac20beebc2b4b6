"""Every registered figure: axes with units, a caption, a source, and nothing that overlaps."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import freehint as fh
from freehint import figures
from freehint.figures import FIGURES, every, export, new_figure, quick_figure
from freehint.figures.drawing.palette import THEMES, meanings_in
from freehint.figures.drawing.paper import WIDTHS, _resized
from freehint.figures.drawing.recolour import PARTS, recolour
from freehint.figures.drawing.style import LogTicks, log_axis
from freehint.policies.walker import ROTATE
from freehint.version import __version__
from freehint.widgets.examples import draw_blocks, draw_story
from freehint.widgets.run_figures import draw_run
from overlap import tick_labels, unreadable
from pictured import DRAWN, moved, runs, walked

ROOT = Path(__file__).parents[2]
UNIT = re.compile(r"\([^()]+\)")


def test_every_figure_is_drawn_here_and_listed_in_the_docs():
    assert set(DRAWN) == set(FIGURES)
    listed = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/figures.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(FIGURES)


def without_unit(ax, unitless) -> list[str]:
    """The axes that show numbers without a unit in the label."""
    shown = {"x": ax.xaxis, "y": ax.yaxis} if ax.axison else {}
    return [
        f"{letter} axis: {axis.label.get_text()!r}"
        for letter, axis in shown.items()
        if letter not in unitless
        and any(tick.label1.get_visible() for tick in axis.get_major_ticks())
        and tick_labels(axis)
        and not UNIT.search(axis.label.get_text())
    ]


def in_another_colour(ax) -> list[str]:
    """The legend's labels that name a meaning and have a colour of another one."""
    legend = ax.get_legend()
    found = []
    for handle, text in zip(legend.legend_handles, legend.get_texts()) if legend else ():
        meanings = meanings_in(text.get_text())
        if not meanings:
            continue
        filled = hasattr(handle, "get_facecolor")
        colour = handle.get_facecolor() if filled else handle.get_color()
        colour = to_hex(colour[0] if len(colour) == 1 else colour).upper()
        if colour not in {THEMES["light"][meaning] for meaning in meanings}:
            found.append(f"{text.get_text()!r} is {colour}, but means {meanings}")
    return found


def colours_of(figure) -> list:
    """The colours of all that can be coloured, with opacity, rounded."""
    found = []
    for artist in figure.findobj(lambda one: isinstance(one, tuple(PARTS))):
        parts = next(parts for kind, parts in PARTS.items() if isinstance(artist, kind))
        colours = [to_rgba_array(getattr(artist, f"get_{part}")()) for part in parts]
        found.append([np.round(colour, 4).tolist() for colour in colours])
    return found


def dark_on_dark(figure) -> list:
    """The texts beside the data that a dark page hides."""
    inside = {text for ax in figure.axes for text in ax.texts}
    return [
        text.get_text()
        for text in figure.findobj(Text)
        if text not in inside and text.get_text() and np.mean(to_rgb(text.get_color())) < 0.5
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_can_be_read_on_screen_and_in_a_journal(name):
    draw = FIGURES[name]
    assert draw.caption.strip().endswith(".") and draw.source.strip() and draw.__doc__
    axes = every(DRAWN[name]())
    whole = axes[0].get_figure()
    assert all(ax.get_figure() is whole for ax in axes)
    assert unreadable(whole) == []
    assert [complaint for ax in axes for complaint in without_unit(ax, draw.unitless)] == []
    assert [complaint for ax in axes for complaint in in_another_colour(ax)] == []
    for width in WIDTHS:
        if not (draw.wide and width == "column"):
            with _resized(whole, *WIDTHS[width]):
                assert unreadable(whole) == [], width
    assert unreadable(whole) == []
    before = colours_of(whole)
    recolour(whole, "light", "dark")
    assert dark_on_dark(whole) == []
    recolour(whole, "dark", "light")
    assert colours_of(whole) == before


@pytest.mark.parametrize("panels", [("walk", "lock", "hints", "orders"), ("balance", "longer"),
                                    ("lists", "walk"), ("fate", "dirty")])  # fmt: skip
def test_pictures_below_knobs_can_be_read(panels):
    run = moved()[1] if "fate" in panels else walked()
    assert unreadable(draw_run(run, panels, run.provenance["parameters"]["duration_ns"])) == []


def test_titles_have_room_beside_legends_in_half_of_a_page():
    figure, axes = quick_figure(9.6, 2.5, 1, 2, left=0.075, right=0.985, top=0.88, bottom=0.2)
    fh.figures.walk_map(walked().reports, axes[0])
    fh.figures.lock_timeline(walked().locks, walked().waits, axes[1])
    for ax, title in zip(axes, ("where the walk went", "the zone lock"), strict=True):
        ax.set_title(f"page_reporting: {title}", loc="left", fontsize=10)
    assert unreadable(figure) == []


def test_pictures_of_blocks_can_be_read():
    assert unreadable(draw_blocks(allocations=11, frees=1)) == []
    for rotate in ROTATE:
        told = {"rotate": rotate, "resume": "cursor", "consumed": "A and C", "capacity": 2}
        assert unreadable(draw_story(**told)) == []


def test_a_dark_page_has_dark_paper_and_light_ink_and_the_next_figure_is_light_again():
    for name in ("dark", "light"):
        with figures.theme(name):
            ax = fh.figures.walk_map(walked().reports)
        whole, colours = ax.get_figure(), THEMES[name]
        assert to_hex(whole.get_facecolor()).upper() == colours["paper"]
        inked = (ax.xaxis.label, *ax.get_legend().get_texts(), *tick_labels(ax.xaxis))
        assert {to_hex(text.get_color()).upper() for text in inked} == {colours["ink"]}
    assert to_hex(new_figure()[0].get_facecolor()) == "#ffffff"


def test_the_test_finds_what_cannot_be_read():
    figure, ax = new_figure(3, 2)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="time")
    ax.text(0.5, 0.5, "one")
    assert unreadable(figure) == [] and without_unit(ax, "y") == ["x axis: 'time'"]
    ax.text(0.52, 0.5, "two")
    assert unreadable(figure) == ["'one' lies on 'two'"]
    ax.texts[1].remove()
    figure.text(0.9, 0.97, "too far to the right")
    assert "leaves the figure" in unreadable(figure)[0]
    ax.bar(0, 1, color=THEMES["light"]["hinted"], label="lost")
    ax.legend()
    assert in_another_colour(ax) == ["'lost' is #009E73, but means {'lost'}"]


@pytest.mark.parametrize("high", [100.5, 110, 900, 1e7])
def test_logarithmic_axes_have_ticks_however_narrow(high):
    figure, ax = new_figure(2, 2)
    log_axis(ax.xaxis, 100, high)
    assert isinstance(ax.xaxis.get_major_locator(), LogTicks)
    assert unreadable(figure) == [] and len(tick_labels(ax.xaxis)) >= 2


def drawn():
    return fh.figures.walk_map(walked().reports)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_the_same_figure_makes_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for path in paths:
        export(drawn(), path, provenance=walked())
    first, second = (path.read_bytes() for path in paths)
    assert first == second and len(first) > 1_000
    again = tmp_path / f"again.{suffix}"
    ax = drawn()
    export(ax, again, width="column")
    export(ax, again, provenance=walked())  # what was exported before leaves no trace
    assert again.read_bytes() == first


def test_files_say_what_they_show_and_what_made_it(tmp_path):
    ax = drawn()
    ax.set_title("where the walk went", loc="left")
    words = {s: export(ax, tmp_path / f"f.{s}", provenance=walked()) for s in ("svg", "pdf", "png")}
    caption = words["svg"]
    assert caption.startswith("Where the walk went: ") and caption.endswith("Run.reports.")
    facts = json.dumps(walked().provenance, sort_keys=True)

    with Image.open(tmp_path / "f.png") as image:
        said = image.text
        assert image.size[0] == 2_100  # 7 inches of 300 dots
    assert said["Title"] == "where the walk went" and said["Description"] == caption
    assert said["Source"] == facts and said["Software"] == f"freehint {__version__}"

    svg = (tmp_path / "f.svg").read_text()
    assert f"<dc:title>{said['Title']}" in svg and caption[:40] in svg and said["Software"] in svg
    assert "<dc:date>" not in svg and 'width="504pt"' in svg and "<text" not in svg

    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"/Title (where the walk went)" in pdf and caption[:40].encode() in pdf
    assert said["Software"].encode() in pdf and b"CreationDate" not in pdf
    assert b"/Subtype /CIDFontType2" in pdf or b"/FontFile2" in pdf  # TrueType, embedded


def test_captions_are_the_figures_own_or_ones_own_words(tmp_path):
    figure, axes = new_figure(columns=2)
    fh.figures.walk_map(walked().reports, axes[0])
    fh.figures.free_by_order(walked().memory, axes[1])
    path = tmp_path / "both.svg"
    said = export(figure, path, beside=True)
    assert said.startswith("(a) Where") and " (b) Free memory of a guest" in said
    assert (tmp_path / "both.txt").read_text() == said + "\n"
    assert export(axes, path, caption="Mine.", beside=True) == "Mine."
    assert (tmp_path / "both.txt").read_text() == "Mine.\n"
    assert export(figure, path, caption=False) == ""
    assert "dc:description" not in path.read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"path": "a.jpg"}, "a.jpg: a figure's file ends in .svg, .pdf or .png"),
        ({"width": "page"}, "width must be one of column, text"),
        ({"provenance": 3}, "provenance must be a Run or a dict, got 3"),
        ({"caption": False, "beside": True}, "this figure has no caption"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_written(tmp_path, options, sentence):
    options = {"path": "a.svg"} | options
    with pytest.raises(fh.InputError, match=re.escape(sentence)):
        export(drawn(), tmp_path / options.pop("path"), **options)
    for no_figure in (walked(), [], export):
        with pytest.raises(fh.InputError, match="shown must be the axes that a figure returned"):
            export(no_figure, tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_wide_for_a_column_is_refused(tmp_path):
    axes = fh.figures.compare_policies(fh.summaries(runs().values()))
    with pytest.raises(fh.InputError, match="compare_policies does not fit a column; use 'text'"):
        export(axes, tmp_path / "a.pdf", width="column")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_the_old_file_and_the_figure(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_text("old")
    ax = drawn()
    size = ax.get_figure().get_size_inches().tolist()

    def fails(*_args, **_options):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(fh.InputError, match=rf"{tmp_path}/a\..*: cannot be written: disk full"):
        export(ax, path, beside=True)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    assert ax.get_figure().get_size_inches().tolist() == size
