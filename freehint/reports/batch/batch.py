"""The plan of a batch: one notebook and many sets of parameters, read from a TOML file.

Everything that can be wrong with a batch is refused here, before anything runs.  Runs are
numbered from 1; those of a grid are in the order of nested loops, with its first name outermost.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any

from freehint.config import InputError, nearest, require, shown, whole
from freehint.inputs.reading import exists, read_toml
from freehint.jit.cache import source_hash
from freehint.reports.batch.plan import default_of, planned_runs, told_apart
from freehint.reports.notebook import report_notebook
from freehint.reports.parameters import known_parameters, read_notebook
from freehint.version import __version__

KEYS = ("notebook", "out", "workers", "results", "thumbnail", "parameters", "grid", "run")


@dataclass(frozen=True)
class Batch:
    """The plan of a batch.

    Attributes
    ----------
    notebook : Path
    source : NotebookNode
        The notebook as it was when the batch was read; this content is run.
    folder : Path
        Working directory of the kernels: the notebook's folder, as in JupyterLab, or the TOML
        file's folder for a notebook that ships with freehint.
    out : Path
        Folder of all outputs.
    workers : int
        Number of runs at a time.
    results : str or None
        Name of the variable that the notebook hands over as its table.
    thumbnail : int or str
        The picture for the gallery: the n-th of the notebook, counted from 1, or the first of the
        cell with this tag.
    runs : tuple of dict
        The parameters that each run is given.
    shown : tuple of dict
        For each run the parameters that differ between the runs, with defaults filled in.  The
        entries of a table are listed one by one, with None if a run has no such entry.
    common : dict
        The parameters that are the same in all runs.
    seeds : tuple
        Each run's parameter ``seed``, or its default; None if the notebook has none.
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
    common: dict
    seeds: tuple

    def facts(self) -> dict:
        """The facts that decide the outputs, as JSON values."""
        return {
            "freehint": __version__,
            "code": source_hash(),
            "notebook": self.notebook.name,
            "sha256 of the notebook's cells": notebook_sha256(self.source),
            "results": self.results,
            "thumbnail": self.thumbnail,
            "parameters": list(self.runs),
        }


def read_batch(file) -> Batch:
    """Read a batch's TOML file; docs/batches.md describes it.

    Paths in it are relative to the file.

    Raises
    ------
    InputError
        Something is wrong with it.  The message names the file, the key and the value.
    """
    file = Path(file)
    found = read_toml(file)
    for key in found:
        if key not in KEYS:
            raise InputError(
                f"{file}: there is no key {shown(key)}; there are {', '.join(KEYS)}"
                f"{nearest(key, KEYS)}"
            )
    try:
        return _batch(file, found)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def notebook_sha256(source) -> str:
    """The sha256 of a notebook's cells and kernel, regardless of its outputs and executions."""
    cells = [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in source.cells]
    text = json.dumps([cells, kernel_name(source)])
    return hashlib.sha256(text.encode()).hexdigest()


def kernel_name(source) -> str:
    """The kernel that a notebook asks for."""
    return source.metadata.get("kernelspec", {}).get("name", "python3")


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
    runs = planned_runs(notebook.name, known, found)
    seed = default_of(known["seed"]) if "seed" in known else None
    shown, common = told_apart(known, runs)
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
        shown=shown,
        common=common,
        seeds=tuple(run.get("seed", seed) for run in runs),
    )


def _find_notebook(here: Path, name) -> Path:
    require(isinstance(name, str) and name != "", "notebook", "be a notebook's path", name)
    for path in (here / name, report_notebook().parent / name):
        if exists(path) and path.is_file():
            return path.resolve()
    raise InputError(
        f"notebook {name!r:.200}: there is no such file in {here}, and freehint ships none"
    )


def _check_kernel(notebook: Path, source) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    language = source.metadata.get("kernelspec", {}).get("language", "python")
    require(language == "python", f"{notebook.name}'s language", "be python", language)
    installed = KernelSpecManager().find_kernel_specs()
    if kernel_name(source) not in installed:
        raise InputError(
            f"{notebook.name} asks for kernel {kernel_name(source)!r:.80}, which is not installed;"
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
            raise InputError(f"thumbnail: no cell of {file} has the tag {wanted!r:.80}")
    else:
        whole("thumbnail, if not a cell's tag,", wanted, 1)
    return wanted
