"""The plan of a batch: one notebook, many sets of parameters, read from a TOML file.

Everything that can be wrong with a batch is refused here, before anything runs.  Runs are
numbered from 1, a grid's as nested loops count, its first name outermost.
"""

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from keyword import iskeyword
from pathlib import Path
from typing import Any

from freehint.config import InputError, require, whole
from freehint.jit import source_hash
from freehint.parameters import UNKNOWN, check_parameter, known_parameters, read_notebook
from freehint.report import report_notebook
from freehint.version import __version__

KEYS = ("notebook", "out", "workers", "results", "thumbnail", "parameters", "grid", "run")
PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Batch:
    """What a batch is.

    Attributes
    ----------
    notebook : Path
    source : NotebookNode
        The notebook as it stood when the batch was read; that is what runs.
    folder : Path
        Where the kernels work: the notebook's folder, as in JupyterLab; the TOML file's for a
        notebook that ships with freehint.
    out : Path
        Folder of everything that comes out.
    workers : int
        Runs at a time.
    results : str or None
        The notebook's variable that is handed over.
    thumbnail : int or str
        The picture for the gallery: the n-th of the notebook, from 1; or the first of the cell
        with this tag.
    runs : tuple of dict
        The parameters that each run is given.
    shown : tuple of dict
        For each run, its parameters that differ between the runs, defaults filled in.
    """

    notebook: Path
    source: Any
    folder: Path
    out: Path
    workers: int
    results: str | None
    thumbnail: int | str
    runs: tuple
    shown: tuple

    def facts(self) -> dict:
        """What comes out is decided by this, as JSON."""
        return {
            "freehint": __version__,
            "code": source_hash(),
            "notebook": self.notebook.name,
            "sha256 of the notebook's cells": notebook_sha256(self.source),
            "results": self.results,
            "thumbnail": self.thumbnail,
            "parameters": list(self.runs),
        }

    def seed(self, number: int):
        """A run's parameter ``seed``, or its default; None if there is none."""
        known = known_parameters(self.source)
        if "seed" not in known:
            return None
        return self.runs[number - 1].get("seed", _default(known["seed"]))


def read_batch(file) -> Batch:
    """Read a batch's TOML file; docs/batches.md describes it.

    Paths in it are relative to the file.

    Raises
    ------
    InputError
        Anything is wrong with it; the sentence names the file, the key and the value.
    """
    file = Path(file)
    found = _read_toml(file)
    for key in found:
        if key not in KEYS:
            closest = get_close_matches(key, KEYS, n=1)
            hint = f"; the nearest is {closest[0]!r}" if closest else ""
            raise InputError(f"{file}: there is no key {key!r}; there are {', '.join(KEYS)}{hint}")
    try:
        return _batch(file, found)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def notebook_sha256(source) -> str:
    """sha256 of a notebook's cells and kernel; its outputs and whoever ran it do not count."""
    cells = [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in source.cells]
    text = json.dumps([cells, kernel_name(source)])
    return hashlib.sha256(text.encode()).hexdigest()


def kernel_name(source) -> str:
    """The kernel that a notebook asks for."""
    return source.metadata.get("kernelspec", {}).get("name", "python3")


def text_of(value) -> str:
    """A parameter's value for people and for comparison."""
    return value if isinstance(value, str) else json.dumps(value)


def _read_toml(file: Path) -> dict:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: this is not TOML: {error}") from None


def _batch(file: Path, found: dict) -> Batch:
    here = file.resolve().parent
    notebook = _find_notebook(here, found.get("notebook"))
    source = read_notebook(notebook)
    _check_kernel(notebook, source)
    out = found.get("out")
    require(isinstance(out, str) and out != "", "out", "be the path of a folder", out)
    workers = found.get("workers", len(os.sched_getaffinity(0)))
    whole("workers", workers, 1)
    known = known_parameters(source)
    runs = _runs(notebook.name, known, found)
    shipped = notebook.parent == report_notebook().parent and here not in notebook.parents
    return Batch(
        notebook=notebook,
        source=source,
        folder=here if shipped else notebook.parent,
        out=here / out,
        workers=workers,
        results=_results(found.get("results")),
        thumbnail=_thumbnail(notebook.name, source, found.get("thumbnail", 1)),
        runs=runs,
        shown=_shown(known, runs),
    )


def _find_notebook(here: Path, name) -> Path:
    require(isinstance(name, str) and name != "", "notebook", "be a notebook's path", name)
    for path in (here / name, report_notebook().parent / name):
        if path.is_file():
            return path.resolve()
    raise InputError(f"notebook {name!r}: there is no such file in {here}, and none ships so named")


def _check_kernel(notebook: Path, source) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    language = source.metadata.get("kernelspec", {}).get("language", "python")
    require(language == "python", f"{notebook.name}'s language", "be python", language)
    installed = KernelSpecManager().find_kernel_specs()
    if kernel_name(source) not in installed:
        raise InputError(
            f"{notebook.name} asks for the kernel {kernel_name(source)!r}, which is not installed;"
            f" there is {', '.join(sorted(installed)) or 'none'}"
        )


def _results(name):
    good = name is None or (isinstance(name, str) and name.isidentifier() and not iskeyword(name))
    require(good, "results", "be the name of a variable that the notebook leaves behind", name)
    return name


def _thumbnail(file: str, source, wanted):
    if isinstance(wanted, str):
        tags = {tag for c in source.cells for tag in c.metadata.get("tags", [])}
        if wanted not in tags:
            raise InputError(f"thumbnail: no cell of {file} has the tag {wanted!r}")
    else:
        whole("thumbnail, if not a cell's tag,", wanted, 1)
    return wanted


def _runs(file: str, known: dict, found: dict) -> tuple:
    if ("grid" in found) == ("run" in found):
        also = "both" if "grid" in found else "neither"
        raise InputError(f"there must be either [grid] or [[run]] tables, and there are {also}")
    common = _table("[parameters]", found.get("parameters", {}))
    if "grid" in found:
        tables = {"[grid]": found["grid"]}
    else:
        require(isinstance(found["run"], list), "run", "be [[run]] tables", found["run"])
        tables = {f"[[run]] {n}": table for n, table in enumerate(found["run"], 1)}
    for where, table in tables.items():
        for name in _table(where, table):
            if name in common:
                raise InputError(f"{where} has {name!r}, which [parameters] has for all runs")
    _check_values("[parameters]", file, known, common)
    if "grid" in found:
        return _grid(file, known, common, found["grid"])
    for where, table in tables.items():
        _check_values(where, file, known, table)
    runs = tuple({**common, **table} for table in found["run"])
    _refuse_twins(known, runs)
    return runs


def _table(where: str, table) -> dict:
    require(isinstance(table, dict), where, "be a table", table)
    return table


def _check_values(where: str, file: str, known: dict, table: dict) -> None:
    for name, value in table.items():
        try:
            check_parameter(file, known, name, value)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        require(_plain(value), f"{where}: {name}", "be text, numbers, truths or of these", value)


def _plain(value) -> bool:
    """TOML's dates have no counterpart in a notebook's cell."""
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    return isinstance(value, PLAIN)


def _grid(file: str, known: dict, common: dict, grid: dict) -> tuple:
    require(len(grid) > 0, "[grid]", "have at least one parameter", grid)
    for name, values in grid.items():
        good = isinstance(values, list) and len(values) > 0
        if name in known:
            require(good, f"[grid]: {name}", "be a list of values, at least one", values)
        for place, value in enumerate(values if good else [values], 1):
            _check_values(f"[grid], value {place} of {name}", file, known, {name: value})
        texts = [json.dumps(value) for value in values]
        for text in texts:
            require(texts.count(text) == 1, f"[grid]: {name}", "have each value once", values)
    return tuple({**common, **dict(zip(grid, values))} for values in product(*grid.values()))


def _default(parameter):
    return parameter.text if parameter.default is UNKNOWN else parameter.default


def _filled(known: dict, runs) -> list:
    """The runs with the defaults of whatever any of them is given."""
    names = list(dict.fromkeys(name for run in runs for name in run))
    return [{name: run.get(name, _default(known[name])) for name in names} for run in runs]


def _refuse_twins(known: dict, runs) -> None:
    first = {}
    for number, run in enumerate(_filled(known, runs), 1):
        text = json.dumps(run, sort_keys=True)
        if text in first:
            raise InputError(
                f"[[run]] {first[text]} and {number} are the same run, defaults filled in: {text}"
            )
        first[text] = number


def _shown(known: dict, runs) -> tuple:
    filled = _filled(known, runs)
    differ = [n for n in filled[0] if len({json.dumps(run[n]) for run in filled}) > 1]
    return tuple({name: run[name] for name in differ or filled[0]} for run in filled)
