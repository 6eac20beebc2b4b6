"""One offline HTML file with the runs of every combination of some knobs."""

import base64
import json
import shlex
from dataclasses import replace
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from freehint.config import InputError
from freehint.figures.drawing.palette import THEMES
from freehint.files import whole_file
from freehint.reports.glossary import glossary_script
from freehint.reports.knobs.combinations import combinations, counted, own_key, read_knobs
from freehint.reports.page import guest_words
from freehint.reports.pictures import micro
from freehint.runs.readable import (
    MIGRATION_READABLE,
    READABLE,
    RETRIES_READABLE,
    WAITS_READABLE,
)
from freehint.runs.run import readable
from freehint.runs.scenario_file import read_scenario, scenario_toml
from freehint.runs.summary import waiting
from freehint.runs.trajectory.trajectory import Trajectory, record
from freehint.version import __version__
from freehint.widgets.player.html import STAND_IN
from freehint.widgets.player.widget import MODULE, STYLE, first_state

FOLDER = Path(__file__).parent
MOMENTS = 100
MOST_BYTES = 10_000_000  # of the file
# Entries of the table of all combinations, by their names for people.
OUTCOMES = (
    *("coverage", "survival", "lost on a full ring", "hinted twice", "stale", "walk took"),
    *(
        "lock held max",
        "allocation wait max",
        "mean of the waits",
        "allocations that waited",
        "allocations",
    ),
    *("migration", "sent", "migration took", "downtime", "lost writes"),
)


ENTRIES = {
    label: entry
    for label, entry, _ in READABLE + WAITS_READABLE + RETRIES_READABLE + MIGRATION_READABLE
}


def write_knobs_report(source, knobs, path, progress=lambda done, total: None) -> tuple:
    """Run every combination of some knobs, and write all runs as one offline HTML file.

    Parameters
    ----------
    source : str or Path
        A TOML file with a scenario's fields.
    knobs : iterable of str
        As for :func:`freehint.reports.knobs.combinations.read_knobs`.
    path : str or Path
        The file to write; it appears whole or not at all.
    progress : callable
        Called with the number of runs done and their total.

    Returns
    -------
    (int, int)
        The number of combinations that were run, and of those that contradict themselves.

    Raises
    ------
    InputError
        The scenario or a knob is refused, no combination is possible, or the file would be
        larger than 10 MB.
    """
    scenario, path, knobs = read_scenario(source), Path(path), list(knobs)
    levels = read_knobs(knobs, scenario)
    given = {name for name in levels if f"{name}=" in ",".join(knobs)}
    found = combinations(scenario, levels, given)
    first = own_key(scenario, levels, found)
    possible = [one for one in found if one.scenario is not None]
    # The first is run first: the others' tables compare with it.
    possible.sort(key=lambda one: one.key != first)
    runs, size = {}, 0
    for done, one in enumerate(possible):
        progress(done, len(possible))
        seen = record(one.scenario, MOMENTS)
        if one.key == first:
            shared = seen.arrays["reports.pfn"]
        data = base64.b64encode(_sharing(seen, shared, one.key == first)).decode()
        size += len(data)
        if size > MOST_BYTES:
            raise InputError(
                f"{path}: {done + 1} of {len(possible)} runs need {size / 1e6:.1f} MB already, and"
                f" a report holds {MOST_BYTES / 1e6:.0f}; give fewer values, or a smaller guest"
            )
        runs[one.key] = _Run(seen, data, runs[first] if runs else None)
    progress(len(possible), len(possible))
    command = ["freehint", "report", *(f"--knobs={k}" for k in knobs), str(source), "-o", str(path)]
    html = _page(scenario, levels, found, runs, first, shlex.join(command))
    if len(html.encode()) > MOST_BYTES:
        raise InputError(f"{path}: would have {len(html) / 1e6:.1f} MB; give fewer values")
    with whole_file(path) as temporary:
        temporary.write_text(html)
    return len(possible), len(found) - len(possible)


def _sharing(seen: Trajectory, first: np.ndarray, whole: bool) -> bytes:
    """The payload; but its ``reports.pfn`` names rows of the first run's, if it is not that run.

    A pfn that the first run did not report is stored as itself + the number of those rows.  What
    runs report is mostly the same in the same order, so this takes a third off a payload.
    """
    if whole:
        return seen.to_bytes()
    own = seen.arrays["reports.pfn"]
    rows = own + np.uint32(len(first))
    if len(first):
        order = np.argsort(first, kind="stable")
        at = np.minimum(np.searchsorted(first[order], own), len(first) - 1)
        rows = np.where(first[order[at]] == own, order[at].astype(np.uint32), rows)
    return replace(seen, arrays=seen.arrays | {"reports.pfn": rows}).to_bytes()


class _Run:
    """What the page needs of a run: its payload, times, tables and words."""

    def __init__(self, seen, data: str, first):
        self.data, self.run = data, seen.run
        self.times = [int(ns) for ns in seen.arrays["time_ns"]]
        self.begin = first_state(seen, {})
        self.facts = {label: micro(text) for label, text in readable(seen.run).items()}
        self.table = _table(self, first or self)


def _table(one: _Run, first: _Run) -> str:
    """The summary beside the first combination's; one seed cannot tell which is better."""
    numbers = [{**r.run.summary, **waiting(r.run.summary, r.run.waits)} for r in (first, one)]
    rows = "".join(
        f"<tr><th scope=row>{escape(label)}</th><td>{escape(first.facts.get(label, '–'))}</td>"
        f"<td>{escape(text)}</td><td>{_change(*(n.get(ENTRIES[label]) for n in numbers))}</td></tr>"
        for label, text in one.facts.items()
    )
    return f"<table><tr><th></th><th>first</th><th>shown</th><th>change</th></tr>{rows}</table>"


def _change(before, after) -> str:
    """A change in per cent of the value before, if both are numbers that were measured."""
    numbers = all(isinstance(n, int | float | np.number) and n >= 0 for n in (before, after))
    if not numbers:
        return ""
    if before == after:
        return "="
    return f"{(after - before) / before:+,.1%}".replace("%", " %") if before else ""


def _page(scenario, levels, found, runs, first, command) -> str:
    facts = {
        "knobs": [{"name": name, "values": list(map(_text, v))} for name, v in levels.items()],
        "first": list(first),
        "combinations": [
            {"key": one.key, "said": one.refusal}
            if one.scenario is None
            else {"key": one.key, "times": runs[one.key].times, "table": runs[one.key].table}
            for one in found
        ],
        "player": {
            **{"window_ns": [], "playing": False, "speed": 30, "selected": -1, "zoom": 1},
            **{"lens": "hints", "colours": THEMES, **runs[first].begin},
        },
    }
    names = [name.removeprefix("policy.") for name in levels]
    question = f"What do {_listed(names)} change?" if names[1:] else f"What does {names[0]} change?"
    return Template((FOLDER / "report.html").read_text()).substitute(
        title=escape(f"freehint: {', '.join(names)}"),
        question=escape(question),
        guest=escape(guest_words(runs[first].run.provenance["parameters"])),
        words=counted(len(runs), len(found) - len(runs)),
        knobs="".join(_knob(at, name, values) for at, (name, values) in enumerate(levels.items())),
        first=escape(_values_text(levels, first)),
        all=_all(levels, runs),
        refusals=_refusals(levels, found),
        command=escape(command),
        scenario=escape(scenario_toml(scenario) or ""),
        version=escape(__version__),
        glossary=glossary_script(),
        style=STYLE,
        module=base64.b64encode(MODULE.encode()).decode(),
        facts=json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
        data="\n".join(
            f'<script type="text/plain" id="run-{"-".join(map(str, key))}">{one.data}</script>'
            for key, one in runs.items()
        ),
        script=f"{STAND_IN}\n{(FOLDER / 'report.js').read_text()}",
    )


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _listed(names: list) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _values_text(levels: dict, key: tuple) -> str:
    pairs = zip(levels.items(), key, strict=True)
    return ", ".join(f"{name.removeprefix('policy.')}={_text(v[at])}" for (name, v), at in pairs)


def _knob(at: int, name: str, values: list) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="knob-{at}" value="{n}"><span>{escape(_text(value))}'
        "</span></label>"
        for n, value in enumerate(values)
    )
    return f"<fieldset><legend>{escape(name)}</legend>{buttons}</fieldset>"


def _all(levels: dict, runs: dict) -> str:
    """A row for each run, with the outcomes in which the runs differ."""
    facts = {key: one.facts for key, one in sorted(runs.items())}
    there = [name for name in OUTCOMES if any(name in one for one in facts.values())]
    differ = [n for n in there if len({one.get(n) for one in facts.values()}) > 1]
    equal = [f"{n} ({next(iter(facts.values()))[n]})" for n in there if n not in differ]
    head = "".join(f"<th>{escape(n.removeprefix('policy.'))}</th>" for n in [*levels, *differ])
    rows = "".join(
        f'<tr data-key="{",".join(map(str, key))}" tabindex="0">'
        + "".join(
            f"<td>{escape(_text(values[at]))}</td>"
            for values, at in zip(levels.values(), key, strict=True)
        )
        + "".join(f"<td>{escape(one.get(name, '–'))}</td>" for name in differ)
        + "</tr>"
        for key, one in facts.items()
    )
    same = f'<p class="dim">Equal in all: {escape("; ".join(equal))}.</p>' if equal else ""
    table = f'<table class="all"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide">{table}</div>{same}'


def _refusals(levels: dict, found: list) -> str:
    """The combinations that contradict themselves, under the sentences that say why."""
    said = {}
    for one in found:
        if one.scenario is None:
            said.setdefault(one.refusal, []).append(_values_text(levels, one.key))
    if not said:
        return ""
    items = "".join(
        f"<li>{escape(why)}<br><small>{escape('; '.join(which))}</small></li>"
        for why, which in said.items()
    )
    return f"<section><h2>Combinations that contradict themselves</h2><ul>{items}</ul></section>"
