"""A first result imports only what it needs: each module costs it about a millisecond."""

import re
import subprocess
import sys

import pytest

# What the default scenario needs nothing of: libraries, reclaim and compaction, readers of traces.
UNUSED = re.compile(
    r"(pandas|polars|matplotlib|ipywidgets|tqdm|jsonschema|networkx|pyarrow\.compute"
    r"|freehint\.engine\.(turns|pressure_turns|driver|guest\.recorded_trace)"
    r"|freehint\.engine\.guest\.pressure\.(start|turn|threads|outside|process)"
    r"|freehint\.mm\.(reclaim\.(direct|kswapd|slowpath|scan)|compact\.(direct|kcompactd|zone))"
    r"|freehint\.formats\.(tables|traces\.(read|recording|table))"
    r"|freehint\.runs\.tables\.(frames|stored|compare)|freehint\.runs\.cited)"
)
RUN = """
import sys
import freehint as fh
run = fh.simulate(fh.Scenario(duration_ns=1_000_000{values}))
print(*sys.modules)
{then}
print(*sys.modules)
"""


def imported(values: str = "", then: str = "") -> list[set[str]]:
    """What a process has imported that needs nothing, after a run and then after ``then``."""
    script = RUN.format(values=values, then=then)
    said = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return [
        set(filter(UNUSED.fullmatch, line.split())) for line in said.stdout.decode().split("\n")[:2]
    ]


def test_a_simulation_imports_no_pandas_and_a_table_does():
    run, table = imported(then="run.reports, run.summary")
    assert run == set()
    assert {"pandas", "freehint.runs.tables.frames", "freehint.formats.tables"} <= table


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        (', policy="none", workload=fh.Program(state="idle")', "freehint.engine.turns"),
        (
            ', policy="none", workload=fh.UnderPressure(jobs="sleep 1")',
            "freehint.engine.pressure_turns",
        ),
    ],
)
def test_rare_actors_are_imported_by_the_runs_that_have_them(values, needed):
    (run, _) = imported(values)
    assert needed in run and "pandas" not in run


IMPORTING = """
import gc
{before}
collections = []
gc.callbacks.append(lambda phase, about: collections.append(phase))
import freehint as fh
began = len(collections)
fh.simulate
print(len(collections) - began, gc.isenabled(), gc.get_freeze_count())
"""


@pytest.mark.parametrize(("before", "after"), [("", "0 True 0"), ("gc.disable()", "0 False 0")])
def test_imports_are_not_looked_through_for_cycles(before, after):
    script = IMPORTING.format(before=before)
    said = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    assert said.stdout.decode().strip() == after


def test_what_was_frozen_stays_frozen():
    script = IMPORTING.format(before="gc.freeze()")
    said = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    collections, collects, frozen = said.stdout.decode().split()
    assert (collections, collects) == ("0", "True") and int(frozen) > 1000
