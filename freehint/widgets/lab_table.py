"""A table that compares two runs in numbers: A, B, and the difference B - A."""

from html import escape
from math import isnan

from freehint.units import NS_PER_MS, NS_PER_S

# (Label, entry of the summary, kind, whether more is better)
ROWS = (
    ("coverage", "coverage", "share", True),
    ("survival", "survival", "share", True),
    ("lost on a full ring", "lost_pages", "pages", False),
    ("hinted twice", "duplicate_pages", "pages", False),
    ("stale", "stale_pages", "pages", False),
    ("walk", "walk_ns", "ns", False),
    ("lock hold max", "lock_held_max_ns", "ns", False),
    ("allocation wait max", "alloc_wait_max_ns", "ns", False),
)
MIGRATION_ROWS = (
    ("sent", "sent_bytes", "bytes", False),
    ("skipped by hints", "skipped_pages", "pages", True),
    ("migration took", "total_ns", "ns", False),
    ("downtime", "downtime_ns", "ns", False),
    ("faults afterwards", "faults", "count", False),
    ("lost writes", "lost_writes", "count", False),
)
OF_A_WALK = {"coverage", "survival", "walk_ns"}
NANOSECONDS = ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (1_000, "µs"), (1, "ns"))


def difference_table(runs: dict) -> str:
    """HTML that shows one or two runs side by side.

    Parameters
    ----------
    runs : dict
        Name -> Run; if there are two, the second is compared with the first.
    """
    summaries = [run.summary for run in runs.values()]
    migrates = [summary for summary in summaries if "migration" in summary]
    ended = all(summary["total_ns"] >= 0 for summary in migrates)
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in runs)
    if len(runs) == 2:
        head += "<th scope='col' colspan='2'>B − A</th>"
    body = "".join(_row(summaries, *row) for row in ROWS)
    if migrates:
        body += _status_row(summaries)
        # As long as a migration goes on, fewer bytes sent are not better.
        body += "".join(
            _row(summaries, label, entry, kind, better if ended else None)
            for label, entry, kind, better in MIGRATION_ROWS
        )
    return f"<table class='fh-diff'><tr><th></th>{head}</tr>{body}</table>"


def _status_row(summaries) -> str:
    """A row with the status of each migration at the end of the run, in QEMU's words."""
    cells = "".join(
        f"<td>{escape(str(summary.get('migration', '–')))}</td>" for summary in summaries
    )
    return f"<tr><th scope='row'>migration</th>{cells}{'<td></td>' * 2 * (len(summaries) - 1)}</tr>"


def measured(summary, entry):
    """A number of a summary; None if it was not measured."""
    value = summary.get(entry)
    if value is None or isnan(value) or value < 0:
        return None
    return None if entry in OF_A_WALK and summary["strokes"] == 0 else value


def _row(summaries, label, entry, kind, more_is_better) -> str:
    values = [measured(summary, entry) for summary in summaries]
    factor, unit = _unit(kind, [v for v in values if v is not None])
    cells = [f"{v * factor:,.{_digits(v * factor, kind)}f} {unit}".strip() if v is not None else "–"
             for v in values]  # fmt: skip
    html = "".join(f"<td>{cell}</td>" for cell in cells)
    if len(values) == 2:
        html += _difference(values, factor, unit, kind, more_is_better)
    return f"<tr><th scope='row'>{label}</th>{html}</tr>"


def _difference(values, factor, unit, kind, more_is_better) -> str:
    if None in values:
        return "<td>–</td><td></td>"
    by = (values[1] - values[0]) * factor
    text = f"{by:+,.{_digits(by, kind)}f}".replace("-", "−")
    if not float(text.replace(",", "").replace("−", "-")):
        return "<td>=</td><td></td>"
    unit = "points" if kind == "share" else unit
    if more_is_better is None:
        return f"<td>{text} {unit}</td><td></td>"
    better = (by > 0) == more_is_better
    word = "▲ better" if better else "▼ worse"
    return f"<td>{text} {unit}</td><td class='fh-{'better' if better else 'worse'}'>{word}</td>"


def _digits(value: float, kind: str) -> int:
    """The number of decimal places that gives about three significant digits."""
    if kind == "count":
        return 0
    size = abs(value)
    if size == 0:
        return 0
    return 0 if size >= 100 else 1 if size >= 10 or kind == "share" else 2


def _unit(kind: str, values: list) -> tuple:
    """(factor, unit) that suits the largest of the values."""
    if kind == "ns":
        most = max(values, default=0)
        size, unit = next((n for n in NANOSECONDS if most >= n[0]), NANOSECONDS[-1])
        return 1 / size, unit
    return {"share": (100, "%"), "pages": (1 / 256, "MiB"), "bytes": (1e-6, "MB"),
            "count": (1, "")}[kind]  # fmt: skip
