"""What a notebook shows of a run that somebody else has stored: text, never markup of theirs."""

import dataclasses

import pytest

import freehint as fh
from freehint.runs.run import readable
from freehint.widgets.lab_table import run_table

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def run():
    migration = fh.MigrationConfig()
    return fh.simulate(
        fh.Scenario(
            memory="64MiB",
            policy="none",
            workload=fh.Program(state="idle"),
            migration=migration,
            duration_ns=1_000_000,
        )
    )


@pytest.mark.parametrize("entry", ["policy", "seed", "migration"])
def test_names_of_a_stored_run_are_text(run, entry):
    summary = run.summary.copy()
    summary[entry] = SCRIPT
    strange = dataclasses.replace(run, summary=summary)
    for html in (strange._repr_html_(), run_table({SCRIPT: strange})):
        assert "<script" not in html
    assert "&lt;script&gt;" in strange._repr_html_() + run_table({"A": strange})


def test_at_a_prompt_a_run_is_its_numbers_and_not_its_memory(run):
    first, *lines = repr(run).splitlines()
    assert first == "Run of none, seed 1"
    told = dict(line.strip().split("  ", 1) for line in lines)
    assert {name: value.strip() for name, value in told.items()} == readable(run)
