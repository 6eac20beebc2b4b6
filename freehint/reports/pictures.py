"""The figures of a run's report, drawn as pictures inside the page, for light and dark screens."""

import base64
import io
from html import escape

from freehint import figures
from freehint.figures.drawing.palette import THEMES
from freehint.runs.run import Run
from freehint.runs.tables.compare import summaries
from freehint.units import NS_PER_MS, NS_PER_US, format_ns, micro

DPI = 150
FEW_DOTS = 1_000


def run_figures(run: Run):
    """Yield each figure of a run as HTML, with a title and a caption, light and dark."""
    begin_ns, end_ns = _busy(run)
    part = f"from {format_ns(begin_ns)} to {format_ns(end_ns)} of the run"
    table = summaries([run])
    yield _figure(
        "The zone lock",
        "It shows when each stroke held the lock of a zone, and when guest CPUs waited for a stroke"
        f" or for each other, {micro(part)}.",
        lambda ax: _locks(run, ax),
    )
    if len(run.reports):
        yield _figure(
            "Where the walk went",
            f"Each dot is a block that was offered to the ring, at its address, {micro(part)}.",
            lambda ax: _map(run, ax),
        )
        yield _figure(
            "Pages told to the host over time",
            "Each page is counted once, by the order of its block.",
            lambda ax: figures.hints_over_time(run.reports, ax),
        )
        yield _figure(
            "The fate of the memory that was offered",
            "It is counted at the end of the run.",
            lambda ax: figures.hint_balance(table, ax),
            height=1.6,
        )
    if len(run.rounds):
        yield _figure(
            "The migration's rounds",
            "It shows how long each round took; a line is a sync of the dirty bitmap.",
            lambda ax: figures.rounds_over_time([run], ax),
            height=1.6,
        )
        yield _figure(
            "Data sent in each round",
            "The scale is logarithmic, so a round that sent nothing has no dot.",
            lambda ax: figures.sent_by_round([run], ax),
            height=1.6,
        )
        yield _figure(
            "The fate of the guest's memory in the migration",
            "A page that was sent twice counts twice.",
            lambda ax: figures.pages_by_fate(table.set_index("policy"), ax),
            height=1.6,
        )


def _busy(run: Run) -> tuple:
    """The begin and end of the strokes in ns, or of the run if they take over a quarter of it."""
    span_ns = run.provenance["parameters"]["duration_ns"]
    begin, end = run.locks["since_ns"].min(), (run.locks["since_ns"] + run.locks["held_ns"]).max()
    if not len(run.locks) or end - begin > span_ns / 4:
        return 0, span_ns
    margin = max(0.05 * (end - begin), NS_PER_US)
    return max(0, begin - margin), min(span_ns, end + margin)


def _locks(run: Run, ax) -> None:
    figures.lock_timeline(run.locks, run.waits, ax)
    _dots_between(run, ax)


def _map(run: Run, ax) -> None:
    figures.walk_map(run.reports, ax)
    _dots_between(run, ax)


def _dots_between(run: Run, ax) -> None:
    """Limit the time axis to the strokes, and enlarge the dots if there are only a few."""
    ax.set_xlim(*(ns / NS_PER_MS for ns in _busy(run)))
    if sum(len(line.get_xdata()) for line in ax.lines) < FEW_DOTS:
        for line in ax.lines:
            line.set_markersize(6)


def _figure(title: str, about: str, draw, height=3.0) -> str:
    pictures = "".join(
        f'<img class="{theme}" alt="{escape(title)}"'
        f' src="data:image/png;base64,{_png(draw, height, theme)}">'
        for theme in THEMES
    )
    return (
        f'<figure><h3>{escape(title)}</h3><figcaption class="dim">{escape(about)}</figcaption>'
        f"{pictures}</figure>"
    )


def _png(draw, height: float, theme: str) -> str:
    buffer = io.BytesIO()
    with figures.theme(theme):
        figure, ax = figures.new_figure(width=6.6, height=height)
        draw(ax)
    figure.savefig(buffer, format="png", dpi=DPI)
    return base64.b64encode(buffer.getvalue()).decode()
