"""README's figures are those that its commands give."""

import re
from pathlib import Path

import pytest

import freehint as fh
from freehint.replay.validate import prediction_table, predictions
from freehint.replay.walkers import walker_predictions

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "README.md").read_text().split("## How it was validated")[1].split("## ")[0]


def rows(kind: str) -> list:
    """(folder, the last column) of README's rows for one validator."""
    found = re.findall(rf"^\| `{kind} data/(\S+).*?` \|.*\| (.*) \|$", TABLE, re.MULTILINE)
    assert found
    return found


def test_every_row_is_looked_at_here():
    kinds = ("replay", "hints", "reporting", "walker", "migration")
    assert sum(len(rows(kind)) for kind in kinds) == TABLE.count("\n| `") - 1  # less the head


@pytest.mark.parametrize(("folder", "figures"), rows("replay"))
def test_figures_of_replays(folder, figures):
    table, good = fh.validate_replay(fh.data(folder), "buddy", "probes")
    hits, scored = table["hits"].sum(), table["scored"].sum()
    equal, lists = table["t1_lists_equal"].sum(), table["t1_lists"].sum()
    first = re.sub(" lists.*", "", figures)
    assert good and first == f"{hits:,} of {scored:,}; {equal} of {lists}"


@pytest.mark.parametrize(
    ("kind", "folder", "figures"),
    [(kind, *row) for kind in ("hints", "reporting") for row in rows(kind)],
)
def test_figures_of_predictions(kind, folder, figures):
    table = prediction_table(predictions(fh.data(folder), kind), kind)
    equal = (table["predicted_pfn"] == table["measured_pfn"]).sum()
    assert figures == f"{equal:,} of {len(table):,}"


@pytest.mark.parametrize(("folder", "figures"), rows("walker"))
def test_figures_of_walks(folder, figures):
    found = walker_predictions(fh.data(folder))
    equal, of = (sum(f(one.rows["equal"]) for one in found) for f in (sum, len))
    assert all(one.good for one in found)
    assert figures == f"{equal:,} of {of:,}, in {len(found)} recording{'s' * (len(found) > 1)}"


def test_figures_of_migrations():
    ((folder, figures),) = rows("migration")
    table, bars, _ = fh.validate_migration(fh.data(folder))
    found = bars.set_index("what")["found"]
    states = ("idle", "freed", "dirty", "churn", "frag")
    errors = [f"{s} {found[f'transferred_B, {s}, init_on_alloc=0']:.1%}" for s in states]
    text = f"median error of bytes: {', '.join(errors)}; "
    text += f"time at 50 MB/s {found['total_time_ms at 50 MB/s']:.1%}; "
    text += f"{found['dirty_sync_count within 1']:.0%} of rows within one sync"
    assert figures.replace(" %", "%") == text
    missed = bars.loc[~bars["good"], "what"].tolist()
    assert (
        missed == ["transferred_B, idle, init_on_alloc=0"] and "The bar of 3 % is missed" in TABLE
    )
    worst = table["error_transferred_B"].max()
    assert f"{worst:.0%}".replace("%", " %") + " off" in TABLE.replace("\n", " ")
