"""Published numbers beside the model as one page: HTML and markdown.

``python -m freehint.reports.published out/verify.html [FOLDER ..]`` writes the page and, beside it,
the same as markdown and the table as csv; ``make verify`` calls it.
"""

import sys
import time
from html import escape
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from freehint.config import InputError
from freehint.files import whole_file
from freehint.studies.verify.verify import (
    ABSENT,
    CANNOT,
    CAUGHT,
    FAILED,
    FITTED,
    JUDGED,
    MISSED,
    RIGHT,
    UNSEEN,
    WITHIN,
    WORKERS,
    counts,
    pairs_in_order,
    verify,
)

MARKS = {WITHIN: "good", RIGHT: "open", MISSED: "bad", FAILED: "bad", CAUGHT: "good", UNSEEN: "bad"}
PARTS = (
    ("Judged", JUDGED, "Nothing here was fitted on the row that it is judged by."),
    (
        "Fitted, so not judged",
        (FITTED,),
        "Constants of a machine, and the rows they were fitted on.",
    ),
    (
        "Predicted, but the published series is not here",
        (ABSENT,),
        "The source names it; make verify SERIES=DIR, or FREEHINT_PUBLISHED, says where it lies.",
    ),
    (
        "Planted wrong",
        (CAUGHT, UNSEEN),
        "A rule of the model is wrong on purpose, and the row has to be missed by its tolerance.",
    ),
    ("Failed", (FAILED,), "The run or the column failed."),
    ("Cannot be expressed", (CANNOT,), "What is missing, for each setup."),
)
STYLE = """
:root { --ink: #1b1f24; --dim: #5b6470; --line: #cdd2d8; --paper: #fff;
  --good: #00734f; --bad: #b3261e; --open: #8a6100; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #edf0f3; --dim: #a3adb8;
  --line: #414953; --paper: #14171b; --good: #5fcf9f; --bad: #ff8a80; --open: #e0b455; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 6px; } h2 { font-size: 19px; margin: 30px 0 6px; }
h3 { font-size: 15px; margin: 18px 0 4px; } .dim { color: var(--dim); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; } th { color: var(--dim); font-weight: 500; }
td.number { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
"""
COLUMNS = ("what", "setup", "published", "predicted", "error", "verdict", "why")


def number(value: float) -> str:
    """A number with three or four digits; a dash for none."""
    if value != value:
        return "\N{EN DASH}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def cells(row) -> dict:
    """What the page shows of a row, as texts."""
    unit = "" if row.unit in ("1", "") else f" {row.unit}"
    predicted = number(row.predicted)
    if row.high > row.low:
        predicted += f" ({number(row.low)} to {number(row.high)})"
    verdict = row.verdict
    if verdict == WITHIN:
        verdict = f"within {100 * row.tolerance:.3g} %"
    why = "; ".join(filter(None, (row.fits and f"fits {row.fits}", row.why)))
    error = "" if row.error != row.error else f"{100 * row.error:+.1f} %"
    texts = (row.words, row.setup, number(row.published) + unit, predicted, error, verdict, why)
    return dict(zip(COLUMNS, texts, strict=True))


def head(table: pd.DataFrame, seconds: float) -> list:
    """The summary as sentences."""
    found = counts(table)
    judged = max(found["judged"], 1)
    same, pairs = pairs_in_order(table)
    right = found[WITHIN] + found[RIGHT]
    within = f"{found[WITHIN]} within the tolerance of their row"
    return [
        f"{found['rows']} published numbers: {found['predicted']} predicted, {found['judged']} of"
        f" them judged, {found[FITTED]} fitted on and so not judged, {found[ABSENT]} whose series"
        f" is not here, {found[CANNOT]} that cannot be expressed, {found[FAILED]} failed.",
        f"Of the judged, {right} ({100 * right / judged:.0f} %) have sign and order right,"
        f" {within} (15 % unless the row says else), and {found[MISSED]} are missed.",
        "Sign and order: a change goes the same way, and the prediction is at most half a decade"
        " away (a factor of 3.2). A prediction is the median over the seeds, with least and most.",
        f"{same} of {pairs} pairs ({100 * same / max(pairs, 1):.0f} %) of rows of one source and"
        " column that differ by more than 5 % are predicted in the published order.",
        f"Built in {seconds:.0f} s.",
    ]


def groups(table: pd.DataFrame):
    """(part, its sentence, [(source, rows)]) for each part of the page that has rows."""
    for title, verdicts, about in PARTS:
        rows = table[table["verdict"].isin(verdicts)]
        if len(rows):
            yield title, about, list(rows.groupby("source", sort=False))


def markdown(table: pd.DataFrame, seconds: float) -> str:
    """The page as markdown."""
    lines = ["# What others measured, and what the model says", "", *head(table, seconds), ""]
    for title, about, sources in groups(table):
        lines += [f"## {title}", "", about, ""]
        for source, rows in sources:
            lines += [f"### {source}", "", f"| {' | '.join(COLUMNS)} |", "|---" * 7 + "|"]
            for row in rows.itertuples():
                texts = (text.replace("|", "\\|") for text in cells(row).values())
                lines.append(f"| {' | '.join(texts)} |")
            lines.append("")
    return "\n".join(lines)


def html(table: pd.DataFrame, seconds: float) -> str:
    """The page as HTML that needs no network."""
    title = "What others measured, and what the model says"
    parts = [f"<h1>{title}</h1>", *(f"<p>{escape(one)}</p>" for one in head(table, seconds))]
    for name, about, sources in groups(table):
        parts.append(f'<h2>{escape(name)}</h2><p class="dim">{escape(about)}</p>')
        for source, rows in sources:
            heads = "".join(f"<th>{column}</th>" for column in COLUMNS)
            lines = "".join(map(_line, rows.itertuples()))
            parts.append(
                f"<h3>{escape(source)}</h3>"
                f'<div class="wide"><table><tr>{heads}</tr>{lines}</table></div>'
            )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>\n"
    )


def _line(row) -> str:
    found = []
    for name, text in cells(row).items():
        kind = "number" if name in ("published", "predicted", "error") else ""
        kind = MARKS.get(row.verdict, "") if name == "verdict" else kind
        found.append(f'<td class="{kind}">{escape(text)}</td>')
    return f'<tr id="{escape(row.id)}">{"".join(found)}</tr>'


def write_verify(
    path, rows=None, series=None, shipped=True, workers=WORKERS, progress=None
) -> pd.DataFrame:
    """Run :func:`freehint.verify` and write its page.

    Parameters
    ----------
    path : str or Path
        The HTML file; markdown and csv are written beside it.  All appear whole, or nothing does.
    rows, series, shipped, workers, progress
        As for :func:`freehint.verify`.

    Returns
    -------
    DataFrame
        As :func:`freehint.verify` returns it.
    """
    path = Path(path)
    if path.suffix in (".md", ".csv"):
        raise InputError(f"{path}: names the HTML file; markdown and csv are written beside it")
    began = time.perf_counter()
    table = verify(rows, series, shipped, workers, progress)
    seconds = time.perf_counter() - began
    beside = [path.with_suffix(suffix) for suffix in (".md", ".csv")]
    with whole_file(path) as page, whole_file(beside[0]) as text, whole_file(beside[1]) as csv:
        page.write_text(html(table, seconds))
        text.write_text(markdown(table, seconds))
        table.drop(columns="seconds").to_csv(csv, index=False, float_format="%.6g")
    return table


def main(arguments: list) -> int:
    """Write the page to the file named first; the other arguments are folders of rows."""
    if not arguments:
        raise InputError("name the HTML file to write, and folders of rows behind it")
    path, *folders = arguments
    began = time.perf_counter()
    with tqdm(desc="runs", leave=False, delay=1) as bar:

        def progress(done, total):
            bar.total, bar.n = total, done
            bar.refresh()

        table = write_verify(path, folders, progress=progress)
    print(*head(table, time.perf_counter() - began), sep="\n")
    names = [str(Path(path).with_suffix(suffix)) for suffix in (".md", ".csv")]
    print(f"page: {path}; the same as {' and '.join(names)}")
    return int(table["verdict"].isin((FAILED, UNSEEN)).any())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (InputError, ChildProcessError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(2 if isinstance(problem, InputError) else 1)
