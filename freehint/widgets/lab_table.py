"""Tables of one run or two: their numbers, and over seeds what the second has more or less."""

from html import escape
from math import isnan

from freehint.units import MIB, NS_PER_MS, NS_PER_S, PAGE_SIZE

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
PARK_ROWS = (
    ("parking took", "park_ns", "ns", False),
    ("snapshot", "stored_bytes", "memory", False),
    ("free, but stored", "stranded_bytes", "memory", False),
    ("restore took", "restore_ns", "ns", False),
    ("lost in snapshot", "park_lost_pages", "count", False),
    ("lost to discards", "lost_to_discard_pages", "count", False),
)
OF_A_PARK = {entry for _, entry, _, _ in PARK_ROWS[:-1]}  # measured if it ended within the run
OF_A_WALK = {"coverage", "survival", "walk_ns"}
NANOSECONDS = ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (1_000, "µs"), (1, "ns"))


def run_table(runs: dict) -> str:
    """HTML that shows one or two runs side by side.  A single seed does not decide what is better.

    Parameters
    ----------
    runs : dict
        Name -> Run; if there are two, the difference of the second from the first is shown.
    """
    summaries = [run.summary for run in runs.values()]
    body = "".join(_run_row(summaries, *row[:3]) for row in ROWS)
    if any("migration" in summary for summary in summaries):
        body += _status_row(summaries)
        body += "".join(_run_row(summaries, *row[:3]) for row in MIGRATION_ROWS)
    if any("parks" in summary for summary in summaries):
        body += "".join(_run_row(summaries, *row[:3]) for row in PARK_ROWS)
    note = "one seed; “5 seeds” tells whether a difference is more than noise" * (len(runs) == 2)
    return _table([escape(name) for name in runs], body, note)


def spread_table(spread) -> str:
    """HTML that shows the mean and the 95 % interval over seeds of one setting or two.

    Parameters
    ----------
    spread : Spread
        With two settings, the second is called better or worse only where the interval of the
        paired difference leaves out 0.
    """
    body = "".join(_spread_row(spread, *row) for row in ROWS)
    if "migration" in spread.table:
        ended = (spread.table["migration"].isna() | (spread.table["total_ns"] >= 0)).all()
        # As long as a migration goes on, fewer bytes sent are not better.
        body += "".join(
            _spread_row(spread, label, entry, kind, better if ended else None)
            for label, entry, kind, better in MIGRATION_ROWS
        )
    if "parks" in spread.table:
        body += "".join(_spread_row(spread, *row) for row in PARK_ROWS)
    first, *_, last = spread.seeds
    note = f"seeds {first} to {last}; mean ± half of its 95 % interval"
    return _table(spread.sides, body, note)


def _table(names, body: str, note: str) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    if len(names) == 2:
        head += "<th scope='col'>B − A</th>"
    return (
        f"<table class='fh-diff fh-diff-{len(names)}'><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table><div class='fh-diff-note'>{note}</div>"
    )


def _status_row(summaries) -> str:
    """A row with the status of each migration at the end of the run, in QEMU's words."""
    cells = [escape(str(summary.get("migration", "–"))) for summary in summaries]
    return _html_row("migration", cells + [""] * (len(cells) == 2))


def measured(summary, entry):
    """A number of a summary; None if it was not measured."""
    value = summary.get(entry)
    if value is None or isnan(value) or value < 0:
        return None
    restored = entry not in OF_A_PARK or summary["parks"] > 0
    return value if restored and (entry not in OF_A_WALK or summary["strokes"] > 0) else None


def _run_row(summaries, label, entry, kind) -> str:
    values = [measured(summary, entry) for summary in summaries]
    scale = _scale(kind, [v for v in values if v is not None])
    cells = ["–" if v is None else _with_unit(v, kind, scale) for v in values]
    if len(values) == 2:
        cells.append("–" if None in values else _difference(values[1] - values[0], kind, scale))
    return _html_row(label, cells)


def _spread_row(spread, label, entry, kind, more_is_better) -> str:
    values = [measured(summary, entry) for _, summary in spread.table.iterrows()]
    if None in values:
        return _html_row(label, ["–"] * (3 if len(spread.sides) == 2 else 1))
    means = [spread.of(side, values) for side in spread.sides]
    scale = _scale(kind, [mean for mean, _ in means])
    cells = [f"{_with_unit(mean, kind, scale)} {_half(half, kind, scale)}" for mean, half in means]
    if len(means) == 1:
        return _html_row(label, cells)
    by, half, differs = spread.difference(values)
    if not differs:
        cells.append("no difference seen")
        return _html_row(label, cells)
    cells.append(f"{_difference(by, kind, scale)} {_half(half, kind, scale)}")
    if more_is_better is None:
        return _html_row(label, cells)
    better = (by > 0) == more_is_better
    cells[-1] += " ▲ better" if better else " ▼ worse"
    return _html_row(label, cells, "better" if better else "worse")


def _html_row(label: str, cells: list, verdict: str = "") -> str:
    *others, last = (f"<td>{cell}</td>" for cell in cells)
    if verdict:
        last = last.replace("<td>", f"<td class='fh-{verdict}'>")
    return f"<tr><th scope='row'>{label}</th>{''.join(others)}{last}</tr>"


def _with_unit(value, kind: str, scale: tuple) -> str:
    factor, unit = scale
    return f"{value * factor:,.{_digits(value * factor, kind)}f} {unit}".strip()


def _half(half, kind: str, scale: tuple) -> str:
    by = half * scale[0]
    return f"<small>± {by:,.{_digits(by, kind)}f}</small>"


def _difference(by, kind: str, scale: tuple) -> str:
    factor, unit = scale
    text = f"{by * factor:+,.{_digits(by * factor, kind)}f}".replace("-", "−")
    if not float(text.replace(",", "").replace("−", "-")):
        return "="
    return f"{text} {'points' if kind == 'share' else unit}".strip()


def _digits(value: float, kind: str) -> int:
    """The number of decimal places that gives about three significant digits."""
    if kind == "count":
        return 0
    size = abs(value)
    if size == 0:
        return 0
    return 0 if size >= 100 else 1 if size >= 10 or kind == "share" else 2


def _scale(kind: str, values: list) -> tuple:
    """(factor, unit) that suits the largest of the values."""
    if kind == "ns":
        most = max(values, default=0)
        size, unit = next((n for n in NANOSECONDS if most >= n[0]), NANOSECONDS[-1])
        return 1 / size, unit
    return {"share": (100, "%"), "pages": (1 / 256, "MiB"), "bytes": (1e-6, "MB"),
            "memory": (MIB / PAGE_SIZE, "MiB"), "count": (1, "")}[kind]  # fmt: skip
