"""The page of a run's report: the parts that are put into its template."""

import base64
import re
from html import escape
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from freehint.policies import BASELINE
from freehint.reports.findings import run_findings
from freehint.reports.folded import folded_html
from freehint.reports.glossary import glossary_script
from freehint.reports.pictures import run_figures
from freehint.reports.reproduce import Reproduction
from freehint.runs.cited.citations import citations
from freehint.runs.run import Run, readable
from freehint.runs.scenario_dict import BY_HAND
from freehint.runs.scenario_file import scenario_toml
from freehint.runs.tables.compare import provenance_table
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.studies.migrations import readable_rounds
from freehint.units import NS_PER_S, format_ns, format_share, micro
from freehint.widgets.player.html import player_html
from freehint.widgets.player.png import moment_png

TEMPLATE = Path(__file__).with_name("run_report.html")
MOST_ROWS = 40


def page(shown: Reproduction, command: str) -> str:
    """The report's HTML.

    Parameters
    ----------
    shown : Reproduction
    command : str
        The command that makes this report again.
    """
    run = shown.run
    policy, guest = run.summary["policy"], guest_words(run.provenance["parameters"])
    return Template(TEMPLATE.read_text()).substitute(
        title=escape(f"freehint: {policy}, {run.provenance['parameters']['memory']}"),
        question=escape(question(policy, run.provenance["parameters"]["migration"])),
        guest=escape(guest),
        verdict=_verdict(shown),
        answer=micro(_bold(run_findings(run.summary))),
        player=_player(shown.trajectory),
        tables=_tables(run),
        figures="\n".join(run_figures(run)),
        provenance=_provenance(shown),
        command=escape(command),
        scenario=_scenario(shown),
        glossary=glossary_script(),
    )


def question(policy: str, migration) -> str:
    """The question that the run answers."""
    if policy == BASELINE.name:
        told = "What does the guest do without hints"
        return f"{told}, and what does its migration send?" if migration else f"{told}?"
    told = f"What does {policy} tell the host about the guest's free memory"
    if migration:
        return f"{told}, what does it cost, and what becomes of the migration?"
    return f"{told}, and what does it cost?"


def guest_words(parameters: dict) -> str:
    """A sentence with a run's guest, load and duration, from its parameters."""
    memory, load = parameters["memory"], parameters["workload"]
    if memory.startswith(BY_HAND):
        guest = f"a guest with a {memory.partition(',')[0]} made by hand"
    elif memory.endswith("iB"):
        guest = f"a freshly booted guest of {memory}"
    else:
        guest = f"the recorded guest {memory}"
    if load["kind"] == "RecordedGuest":
        does = f"which repeats its work in the recording {load['trace']}"
    elif load["kind"] == "Program":
        does = f"with a program in state \u201c{load['state']}\u201d"
    elif load["kind"] == "UnderPressure":
        does = f"which runs the jobs \u201c{load['jobs']}\u201d"
    else:
        share = format_share(load["live_share"])
        does = f"whose {load['nr_cpus']} CPUs come to hold {share} of free memory"
    migration = parameters["migration"]
    rate = f", moved at {migration['bandwidth_Bps'] / 1e6:,.0f} MB/s" if migration else ""
    seconds = f"{parameters['duration_ns'] / NS_PER_S:g} s of simulated time"
    return f"{guest[0].upper()}{guest[1:]}, {does}{rate}; {seconds}, seed {parameters['seed']}."


def _bold(markdown: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(markdown))


def _verdict(shown: Reproduction) -> str:
    kind = "open" if shown.trajectory is None else "good" if shown.stored else "plain"
    if shown.differences:
        kind = "bad"
    text = f'<p class="verdict {kind}">{escape(shown.verdict)}</p>'
    if not shown.differences:
        return text
    table = pd.DataFrame(shown.differences, columns=["what", "stored", "found now"])
    played = "The player shows the run simulated again; everything else here was stored."
    about = f'<p class="dim">{played}</p>' if shown.trajectory is not None else ""
    return text + _table(table) + about


# The run in the player.


def opening_moment(trajectory: Trajectory) -> int:
    """The moment half way through the first walk, or the first moment if there is no walk."""
    walks = trajectory.run.walks
    if not len(walks):
        return 0
    first = walks.iloc[0]
    end_ns = first["end_ns"] if first["end_ns"] >= 0 else trajectory.meta["duration_ns"]
    middle = (first["begin_ns"] + end_ns) / 2
    at = int(np.searchsorted(trajectory.arrays["time_ns"], middle))
    return min(at, len(trajectory) - 1)


def _opening(trajectory: Trajectory, moment: int) -> str:
    if not moment:
        return "at the start"
    end_ns = trajectory.run.walks.iloc[0]["end_ns"]
    over = 0 <= end_ns < trajectory.arrays["time_ns"][moment]
    # A short walk may lie between two moments.
    return "just after the first walk" if over else "half way through the first walk"


def _player(trajectory: Trajectory | None) -> str:
    if trajectory is None:
        return ""
    moment = opening_moment(trajectory)
    png = base64.b64encode(moment_png(trajectory, moment)).decode()
    where = _opening(trajectory, moment)
    still = f'<img class="still" alt="the run {where}" src="data:image/png;base64,{png}">'
    return (
        "<section><h2>The run, moment by moment</h2>"
        f'<p class="dim">It opens {where}. <span class="screen">Space plays, arrows step, n goes to'
        ' the next event, ? shows all keys.</span><span class="paper">The HTML of this report plays'
        " it.</span></p>"
        f'<div class="screen player">{player_html(trajectory, moment=moment)}</div>'
        f'<div class="paper">{still}</div><noscript>{still}</noscript></section>'
    )


# Tables.


def _table(table: pd.DataFrame, names: bool = False) -> str:
    shown = table.head(MOST_ROWS)
    with pd.option_context("display.max_colwidth", None):
        html = shown.to_html(index=names, border=0, escape=True, na_rep="\u2013")
    left = len(table) - len(shown)
    more = f'<p class="dim">{left:,} more rows are left out.</p>' if left > 0 else ""
    return f'<div class="wide">{html}</div>{more}'


def _tables(run: Run) -> str:
    facts = {label: micro(value) for label, value in readable(run).items()}
    parts = [f"<section><h2>Summary</h2>{_facts(facts, 'facts whole')}</section>"]
    if len(run.walks):
        parts.append(f"<section><h2>Walks</h2>{_table(_walk_rows(run.walks))}</section>")
    if len(run.rounds):
        about = "Each row is a sync of the dirty bitmap; its counts are since the migration began."
        rows = _table(readable_rounds(run.rounds))
        parts.append(
            f'<section><h2>Rounds of the migration</h2><p class="dim">{about}</p>{rows}</section>'
        )
    if len(run.violations):
        about = "Each row is a rule that the policy's driver or the device broke in this run."
        rows = _table(run.violations.assign(first_ns=run.violations["first_ns"].map(format_ns)))
        parts.append(
            "<section><h2>Rules of the virtio specification that were broken</h2>"
            f'<p class="dim">{about}</p>{rows}</section>'
        )
    return "\n".join(parts)


def _walk_rows(walks: pd.DataFrame) -> pd.DataFrame:
    ended = walks["end_ns"] >= 0
    took = (walks["end_ns"] - walks["begin_ns"]).where(ended)
    rows = pd.DataFrame({"user": walks["user"].astype(str)})
    rows["begin"] = walks["begin_ns"].map(lambda ns: micro(format_ns(ns)))
    rows["took"] = [micro(format_ns(ns)) if ns >= 0 else "not ended" for ns in took.fillna(-1)]
    rows["completed"] = walks["completed"].map({True: "yes", False: "stopped"}).where(ended, "no")
    for name in ("walkable", "covered", "offered", "hinted", "lost", "duplicate"):
        rows[f"{name} (pages)"] = walks[f"{name}_pages"].map("{:,}".format)
    return rows


# The provenance and the scenario, which reproduce the run.


def _provenance(shown: Reproduction) -> str:
    runs = [shown.run]
    if shown.stored and shown.trajectory is not None:
        runs.append(shown.trajectory.run)
    table = provenance_table(runs)["value"]
    facts = {name: value for name, value in table.items() if not name.startswith("sha256 of ")}
    entries = {name: _number(value) for name, value in shown.run.summary.items()}
    inputs = pd.DataFrame(shown.run.provenance["inputs"], columns=["file", "sha256"])
    files = f'<h3>Inputs</h3><div class="files">{_table(inputs)}</div>' if len(inputs) else ""
    cited_rows = citations(shown.run).rename(columns={"used_for": "used for"})
    cited = f'<h3>To be cited</h3><div class="files">{_table(cited_rows)}</div>'
    return cited + folded_html(
        "Versions, parameters, inputs and every entry of the summary",
        f"<h3>Versions and parameters</h3>{_facts(facts, 'facts small')}{files}"
        f"<h3>Every entry of the summary</h3>{_facts(entries, 'facts small')}",
    )


def _facts(facts: dict, kind: str) -> str:
    rows = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in facts.items()
    )
    return f'<dl class="{kind}">{rows}</dl>'


def _number(value) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def _scenario(shown: Reproduction) -> str:
    text = scenario_toml(shown.scenario) if shown.scenario is not None else None
    if text is None:
        return ""
    return (
        "<p>To make it without its source, save this text as <code>scenario.toml</code> and run"
        f" <code>freehint report scenario.toml</code>.</p><pre>{escape(text)}</pre>"
    )
