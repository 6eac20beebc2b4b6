"""The gallery of a batch, ``index.html``, with one card per run and no request to any host.

Pictures are inside the file; reports and notebooks are linked relative to it.  Sorting and
filtering are a few lines of script in ``gallery.html``.
"""

import base64
import json
from collections import Counter
from html import escape
from pathlib import Path
from string import Template

from freehint.files import whole_file
from freehint.reports.batch.batch import Batch
from freehint.reports.batch.folder import DONE, FAILED, run_folder
from freehint.reports.batch.plan import text_of
from freehint.version import __version__

TEMPLATE = Path(__file__).with_name("gallery.html")
LEFT = "left"
# Sort keys that every run has besides its parameters.
SORTS = ("run", "status", "seconds")


def write_gallery(batch: Batch, records: list) -> Path:
    """Write ``index.html`` of a batch.

    Parameters
    ----------
    batch : Batch
    records : list of dict or None
        Each run's ``run.json``, or None if it has not run yet.

    Returns
    -------
    Path
    """
    path = batch.out / "index.html"
    statuses = [record["status"] if record else LEFT for record in records]
    names = list(batch.shown[0])
    html = Template(TEMPLATE.read_text()).substitute(
        title=escape(f"{batch.notebook.stem}: {len(records)} runs"),
        counts=_counts(statuses),
        facts=_facts(batch),
        filters=_filters(batch, statuses),
        sorts="".join(f"<option>{escape(name)}</option>" for name in _keys(names)),
        cards="\n".join(_card(batch, n, record) for n, record in enumerate(records, 1)),
    )
    with whole_file(path) as temporary:
        temporary.write_text(html)
    return path


def _keys(names) -> list:
    """Names of a card's values; a parameter with the name of one of SORTS gets a prefix."""
    return [*SORTS, *map(_key, names)]


def _key(name: str) -> str:
    return f"parameter {name}" if name in SORTS else name


def _counts(statuses) -> str:
    counts = Counter(statuses)
    return ", ".join(
        f'<b class="{status}">{counts[status]} {status}</b>'
        for status in (DONE, FAILED, LEFT)
        if counts[status]
    )


def _facts(batch: Batch) -> str:
    """The notebook, the version and the parameters that all runs share."""
    lines = [f"notebook <code>{escape(batch.notebook.name)}</code>, freehint {__version__}"]
    if batch.common:
        listed = "; ".join(f"{n} = {text_of(v)}" for n, v in batch.common.items())
        lines.append(f"all runs: <code>{escape(listed)}</code>")
    return "\n".join(f'<p class="facts">{line}</p>' for line in lines)


def _filters(batch: Batch, statuses) -> str:
    choices = {"status": {status: status for status in statuses}}
    for name in batch.shown[0]:
        choices[_key(name)] = {_exact(run[name]): text_of(run[name]) for run in batch.shown}
    return "\n".join(_filter(name, texts) for name, texts in choices.items() if len(texts) > 1)


def _exact(value) -> str:
    """A text that no other value has, and by which numbers and texts can be sorted."""
    return value if isinstance(value, str) else json.dumps(value)


def _filter(name: str, texts: dict) -> str:
    # The sign before each value tells an empty text, which is a value too, from "all".
    options = "".join(
        f'<option value="={escape(v)}">{escape(t)}</option>' for v, t in texts.items()
    )
    select = f'<select data-name="{escape(name)}"><option value="">all</option>{options}</select>'
    return f"<label>{escape(name)}{select}</label>"


def _card(batch: Batch, number: int, record: dict | None) -> str:
    status = record["status"] if record else LEFT
    seconds = record["seconds"] if record else None
    texts = {name: text_of(value) for name, value in batch.shown[number - 1].items()}
    values = {"run": str(number), "status": status, "seconds": "" if seconds is None else seconds}
    values |= {_key(name): _exact(value) for name, value in batch.shown[number - 1].items()}
    folder = run_folder(batch.out, number)
    listed = "".join(
        f'<dt>{escape(name)}</dt><dd title="{escape(text)}">{escape(text)}</dd>'
        for name, text in texts.items()
    )
    took = "" if seconds is None else f'<span class="seconds">{seconds:.1f} s</span>'
    return (
        f'<article class="run {status}" data-values="{escape(json.dumps(values))}">'
        f"{_picture(folder, record)}"
        f'<div class="about"><h2>run {number} <span class="status">{status}</span>{took}</h2>'
        f"<dl>{listed}</dl>{_links(folder)}</div></article>"
    )


def _links(folder: Path) -> str:
    found = [name for name in ("report.html", "notebook.ipynb") if (folder / name).exists()]
    links = "".join(f'<a href="{_address(folder)}/{n}">{n.split(".")[0]}</a>' for n in found)
    return f'<div class="links">{links}</div>'


def _address(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _picture(folder: Path, record: dict | None) -> str:
    if record is None:
        return '<div class="picture empty">not run yet</div>'
    if record["status"] == FAILED:
        where = "" if record["cell"] is None else f"cell {record['cell']}: "
        line = f"<code>{escape(record['line'])}</code>" if record["line"] else ""
        return f'<div class="picture error">{where}{escape(record["error"])}{line}</div>'
    png = folder / "thumbnail.png"
    if not png.exists():
        inside = "no picture"
    else:
        data = base64.b64encode(png.read_bytes()).decode()
        inside = f'<img alt="run {record["run"]}" src="data:image/png;base64,{data}">'
    return f'<a class="picture" href="{_address(folder)}/report.html">{inside}</a>'
