"""Published rows as small TOML files: what was measured where, and which setup predicts it.

A file is one source.  ``[setups.NAME]`` is what runs (``like`` takes another setup's parameters
first), ``[[fitted]]`` a constant of the machine and the row on which it is fitted, ``[[rows]]`` a
published number, and ``[[cannot]]`` a setup that freehint cannot express.  docs/verify.md has the
fields; ``data/schemas/published.schema.json`` describes them for other programs.
"""

from dataclasses import dataclass, fields
from pathlib import Path

from freehint.config import InputError, nearest, shown
from freehint.inputs.reading import read_toml
from freehint.studies.verify.fields import (
    choice_of,
    number_of,
    require_known,
    tables_of,
    text_of,
)
from freehint.studies.verify.series import Series, read_series
from freehint.studies.verify.setups import column_unit
from freehint.studies.verify.stated import Setup, fit_of, setups_of

ABSOLUTE, RATIO, REDUCTION, CHANGE = "absolute", "ratio", "reduction", "change"
ROW_KINDS = {ABSOLUTE: None, RATIO: "1", REDUCTION: "%", CHANGE: "%"}
UNITS = (
    *("ns", "us", "ms", "s", "min", "B", "kB", "MB", "MiB", "GiB", "GiB min", "GiB s"),
    *("%", "1", "pages", "guests", "pages/s"),
)
TOLERANCE = 0.15


@dataclass(frozen=True)
class Row:
    """One published number.

    Attributes
    ----------
    file, source, id, words : str
        The file's name, the publication, the row's name and what was measured.
    value : float or None
        As published; None if it comes from a series.
    series : Series or None
    unit, kind, column : str
        ``kind`` tells how the prediction is made of ``column``: "absolute", or against ``baseline``
        as "ratio", "reduction" (in %, positive if less) or "change" (in %, positive if more).
    setup, baseline : Setup or None
    tolerance : float
    fits : tuple of str
        Constants that are fitted on this row, so that it is not judged.
    wrong : bool
        Whether its setup has a rule planted wrong, so that the row has to be missed.
    why : str
        What is known of a difference; or, for a row without a setup, why it cannot be predicted.
    """

    file: str
    source: str
    id: str
    words: str
    value: float | None
    unit: str
    kind: str = ABSOLUTE
    column: str = ""
    setup: Setup | None = None
    baseline: Setup | None = None
    tolerance: float = TOLERANCE
    series: Series | None = None
    fits: tuple = ()
    why: str = ""
    wrong: bool = False


FILE_KEYS = ("source", "link", "setups", "fitted", "rows", "cannot")
ROW_KEYS = (
    *("id", "words", "value", "unit", "kind", "column", "setup", "baseline", "tolerance"),
    *("series", "why", "wrong"),
)
CANNOT_KEYS = ("id", "words", "why", "value", "unit")


def read_rows(folders, series_folder=None) -> list:
    """The rows of every ``*.toml`` in some folders, by file name, each id once.

    Parameters
    ----------
    folders : sequence of str or Path
    series_folder : str or Path, optional
        Where published series lie that do not ship with freehint.

    Raises
    ------
    InputError
        A folder has no such file, or a field is refused: the message names file, field and value.
    """
    rows, seen = [], {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder of published rows")
        files = sorted(folder.glob("*.toml"))
        if not files:
            raise InputError(f"{folder}: has no file *.toml with published rows")
        for path in files:
            for row in read_file(path, series_folder):
                if row.id in seen:
                    raise InputError(f"{path}: row id {row.id!r} is also in {seen[row.id]}")
                seen[row.id] = path
                rows.append(row)
    return rows


def read_file(path, series_folder=None) -> list:
    """The rows of one file; see :func:`read_rows`."""
    path = Path(path)
    try:
        return _rows_of(read_toml(path), path.name, series_folder)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _rows_of(table: dict, file: str, series_folder) -> list:
    require_known(table, FILE_KEYS, "the file")
    source = text_of(table, "source", "the file")
    if "link" in table:
        source = f"{source}; {text_of(table, 'link', 'the file')}"
    fits = [fit_of(one, n) for n, one in enumerate(tables_of(table, "fitted"), 1)]
    setups = setups_of(table.get("setups", {}), fits)
    rows = [
        _row(one, n, (file, source), setups, series_folder)
        for n, one in enumerate(tables_of(table, "rows"), 1)
    ]
    rows += [_cannot(one, n, (file, source)) for n, one in enumerate(tables_of(table, "cannot"), 1)]
    return _with_fits(rows, fits)


def _with_fits(rows: list, fits: list) -> list:
    ids = [row.id for row in rows]
    on = {}
    for fit in fits:
        if fit["on"] not in ids:
            raise InputError(
                f"fitted {fit['parameter']}: on must be the id of a row of this file, got"
                f" {shown(fit['on'])}{nearest(fit['on'], ids)}"
            )
        on.setdefault(fit["on"], []).append(f"{fit['parameter']} = {fit['value']}")
    return [
        Row(**{one.name: getattr(row, one.name) for one in fields(row)} | {"fits": tuple(told)})
        if (told := on.get(row.id))
        else row
        for row in rows
    ]


def _row(table, number: int, of: tuple, setups: dict, series_folder) -> Row:
    where = f"row {number}"
    require_known(table, ROW_KEYS, where)
    where = f"row {text_of(table, 'id', where)!r}"
    kind = choice_of(table, "kind", ROW_KINDS, where, ABSOLUTE)
    unit = choice_of(table, "unit", UNITS, where)
    setup = setups[choice_of(table, "setup", setups, where)]
    baseline = table.get("baseline")
    if (baseline is None) != (kind == ABSOLUTE):
        must = "have no baseline" if kind == ABSOLUTE else "have a baseline, another setup"
        raise InputError(f"{where}: a row of kind {kind!r} must {must}, got {shown(baseline)}")
    if baseline is not None:
        baseline = setups[choice_of(table, "baseline", setups, where)]
    column = text_of(table, "column", where)
    for one in filter(None, (setup, baseline)):
        try:
            own = column_unit(one.kind, column, one.told())
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    wanted = ROW_KINDS[kind] or own
    if unit != wanted:
        raise InputError(
            f"{where}: unit must be {wanted!r}, as column {column} has it, got {unit!r}"
        )
    series = table.get("series")
    if (series is None) == ("value" not in table):
        raise InputError(f"{where}: must have either a value or a series")
    value = number_of(table, "value", where) if series is None else None
    tolerance = number_of(table, "tolerance", where) if "tolerance" in table else TOLERANCE
    if tolerance < 0:
        raise InputError(f"{where}: tolerance must be at least 0, got {tolerance:g}")
    why = text_of(table, "why", where) if "why" in table else ""
    wrong = table.get("wrong", False)
    if not isinstance(wrong, bool):
        raise InputError(f"{where}: wrong must be true or false, got {shown(wrong)}")
    series = series and read_series(series, series_folder, where)
    return Row(
        *of, text_of(table, "id", where), text_of(table, "words", where), value, unit, kind, column,
        setup, baseline, tolerance, series, (), why, wrong,
    )  # fmt: skip


def _cannot(table, number: int, of: tuple) -> Row:
    where = f"cannot {number}"
    require_known(table, CANNOT_KEYS, where)
    told = {name: text_of(table, name, where) for name in ("id", "words", "why")}
    value = number_of(table, "value", where) if "value" in table else None
    unit = choice_of(table, "unit", UNITS, where) if "unit" in table else ""
    return Row(*of, told["id"], told["words"], value, unit, why=told["why"])
