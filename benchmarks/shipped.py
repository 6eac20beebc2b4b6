"""Results that are kept for the notebook and the docs: data/speed and docs/limits.md."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from benchmarks.rows import FREEHINT, RATIO, Row
from benchmarks.table import figure_of, machine_lines, spread
from freehint.config import InputError
from freehint.files import whole_file
from freehint.studies.speed import LEAST_SIZES, fitted

ROOT = Path(__file__).parent.parent
DATA, DOC = ROOT / "data", ROOT / "docs/limits.md"


def write_file(path: Path, text: str) -> None:
    """A file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text)


def ship(name: str, text: str) -> Path:
    """A file below data/, and its line in the manifest."""
    path, manifest = DATA / name, DATA / "MANIFEST.sha256"
    write_file(path, text)
    lines = [x for x in manifest.read_text().splitlines() if not x.endswith(f"  {name}")]
    lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}")
    write_file(manifest, "\n".join(sorted(lines, key=lambda x: x.split("  ", 1)[1])) + "\n")
    return path


def between(text: str, name: str, content: str) -> str:
    """A document with what stands between its marks of that name replaced.

    Raises
    ------
    InputError
        The marks are not there, once each.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InputError(f"docs/limits.md: the marks {begin.strip()} and {end.strip()} are missing")
    head, rest = text.split(begin)
    return head + begin + content + end + rest.split(end)[1]


def compared(rows: list[Row]) -> list[str]:
    """Lines of the table of ratios: freehint's figure, the other's, and their ratio."""
    found = {(row.what, row.side): row for row in rows}
    lines = ["| what | the other | freehint | the other's | ratio | quartiles |",
             "|---|---|--:|--:|--:|---|"]  # fmt: skip
    for row in rows:
        if row.unit == RATIO:
            name = row.side.removesuffix(f" / {FREEHINT}")
            ours, other = found.get((row.what, FREEHINT)), found.get((row.what, name))
            figures = [f"{figure_of(x.value)} {x.unit}" if x else "" for x in (ours, other)]
            lines.append(
                f"| {row.what} | {name} | {figures[0]} | {figures[1]} | {row.value:.2f} |"
                f" {spread(row)}{', shared core' if row.shared else ''} |"
            )
    return lines


def alone(rows: list[Row]) -> list[str]:
    """Lines of the table of figures that have nothing beside them."""
    with_ratio = {row.what for row in rows if row.unit == RATIO}
    lines = ["| what | | figure | quartiles |", "|---|---|--:|---|"]
    return lines + [
        f"| {row.what} | {row.side} | {figure_of(row.value)} {row.unit} | {spread(row)} |"
        for row in rows
        if row.what not in with_ratio
    ]


def on_machine(command: str, machine: dict) -> list[str]:
    """By which command, on what."""
    return [f"By `{command}` on: {'; '.join(machine_lines(machine))}.", ""]


def ship_bench(rows: list[Row], machine: dict, command: str) -> list[Path]:
    """Keep a table of ``make bench``; the paths written."""
    lines = [*on_machine(command, machine), *compared(rows), "", *alone(rows)]
    text = between(DOC.read_text(), "bench", "\n".join(lines) + "\n")
    told = {"command": command, "machine": machine}
    paths = [
        ship("speed/bench.csv", pd.DataFrame(rows).to_csv(index=False)),
        ship("speed/bench.json", json.dumps(told, indent=1) + "\n"),
    ]
    write_file(DOC, text)
    return [*paths, DOC]


def exponents(table: pd.DataFrame) -> list[str]:
    """Lines of the table of fitted exponents."""
    lines = ["| along | task | from | to | time ~ n^ | memory ~ n^ |", "|---|---|--:|--:|--:|--:|"]
    for (along, task), rows in table.groupby(["along", "task"], sort=False):
        cells = []
        for column in ("seconds", "MiB"):
            own = rows[rows[column] > 0]
            growth = (
                fitted(own["size"], own[column]) if own["size"].nunique() >= LEAST_SIZES else None
            )
            cells.append(f"{growth.exponent:.2f} ± {growth.error:.2f}" if growth else "")
        ends = rows["size_label"].iloc[0], rows["size_label"].iloc[-1]
        lines.append(f"| {' | '.join([along, task, *ends, *cells])} |")
    return lines


def ship_growth(table: pd.DataFrame, machine: dict) -> list[Path]:
    """Keep a table of ``make growth``; the paths written."""
    lines = [*on_machine("make growth", machine), *exponents(table)]
    text = between(DOC.read_text(), "growth", "\n".join(lines) + "\n")
    told = {"command": "make growth", "machine": machine}
    paths = [
        ship("speed/growth.csv", table.to_csv(index=False)),
        ship("speed/growth.json", json.dumps(told, indent=1) + "\n"),
    ]
    write_file(DOC, text)
    return [*paths, DOC]
