"""The benchmark's table: as text, and as the files bench.csv, bench.json, bench.md and a figure."""

import json
from pathlib import Path

import pandas as pd

from benchmarks.rows import Row
from freehint.config import InputError
from freehint.figures import export
from freehint.figures.speed import beside_others
from freehint.files import whole_file

NAME = "bench"


def spread(row: Row) -> str:
    """The quartiles, where there are some."""
    return f"{row.p25:.2f}..{row.p75:.2f}" if row.p25 is not None else ""


def figure_of(value: float) -> str:
    """Three digits or two places."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def verdict(row: Row) -> str:
    """The bar and whether it holds."""
    if row.shared:
        return "shared core, not judged"
    return "" if row.bar is None else f">= {row.bar} {'MISSED' if row.missed else 'ok'}"


def text(rows: list[Row]) -> str:
    """The table as text."""
    lines = []
    for row in rows:
        slices = f"n={row.slices}" if row.slices else ""
        lines.append(
            f"{row.what:50} {row.side:34} {figure_of(row.value):>9} {row.unit:13}"
            f" {spread(row):>15} {slices:>6}  {verdict(row)}".rstrip()
        )
    return "\n".join(lines)


def machine_lines(machine: dict) -> list[str]:
    """The machine, an item a line."""
    return [f"{name}: {value}" for name, value in machine.items()]


def markdown(rows: list[Row], machine: dict, command: str) -> str:
    """The table as Markdown, the machine below it."""
    head = ["| what | side | | unit | quartiles | bar |", "|---|---|--:|---|---|---|"]
    body = [
        f"| {r.what} | {r.side} | {figure_of(r.value)} | {r.unit} | {spread(r)} | {verdict(r)} |"
        for r in rows
    ]
    items = [f"- {line}" for line in machine_lines(machine)]
    return "\n".join([f"# {command}", "", *head, *body, "", "Measured on:", "", *items]) + "\n"


def write(rows: list[Row], machine: dict, command: str, folder: Path) -> list[Path]:
    """Write the files, each whole or not at all; their paths."""
    told = {"command": command, "machine": machine}
    table = pd.DataFrame(rows)
    records = [row._asdict() | {"missed": row.missed} for row in rows]
    contents = {
        "csv": table.to_csv(index=False),
        "json": json.dumps(told | {"rows": records}, indent=1) + "\n",
        "md": markdown(rows, machine, command),
    }
    paths = [folder / f"{NAME}.{kind}" for kind in contents]
    for path, content in zip(paths, contents.values()):
        with whole_file(path) as temporary:
            temporary.write_text(content)
    if (table["unit"] == "ratio").any():
        picture = beside_others(table)
        for kind in ("svg", "png"):
            paths.append(folder / f"{NAME}.{kind}")
            export(picture, paths[-1], provenance=told)
    return paths


def read(path: Path) -> tuple[list[Row], dict, str]:
    """Rows, machine and command of a bench.json.

    Raises
    ------
    InputError
        It is not there, or is no such file.
    """
    try:
        told = json.loads(path.read_text())
        rows = [Row(**{name: row[name] for name in Row._fields}) for row in told["rows"]]
        return rows, told["machine"], told["command"]
    except FileNotFoundError:
        raise InputError(f"{path} is not there: run make bench first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a table of make bench: {error}") from None
