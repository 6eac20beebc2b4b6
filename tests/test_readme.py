"""README's figures are those that its commands give."""

import re
from pathlib import Path

import pandas as pd
import pytest

import freehint as fh
from freehint.replay.validate import prediction_table, predictions
from freehint.replay.walkers import walker_predictions
from freehint.studies.real_walks import walk_counts, with_and_without_rotation

ROOT = Path(__file__).parent.parent
RESULTS = ("c_v24", "c_cursor", "c_hold2", "c_fiveall", "c_fivekeep0")  # besides the pair s3
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


def test_the_four_results_are_those_of_the_recordings():
    text = (ROOT / "README.md").read_text().split("**What it found so far.**")[1].split("## ")[0]
    counts = {name: walk_counts(recorded_rows(name)) for name in RESULTS}
    reuse = with_and_without_rotation("linux-6.1/walkers/s3_v24").set_index(["run", "policy"])
    reuse = reuse["reused_128MiB"]
    never, on_exit = reuse["recorded", "never"], reuse["predicted exactly", "on_exit"]
    shares = f"{never:.0%} of the hinted memory was used again without rotation, and {on_exit:.0%}"
    assert shares.replace("%", " %") + " with it" in text
    v24, hold = counts["c_v24"], counts["c_hold2"]
    assert f"{v24['duplicates']:,} of its {v24['reports']:,} reports" in text
    assert counts["c_cursor"]["in_walk"] == 0 and hold["stale"] == 0
    assert (
        f"none of {hold['reports']:,} hints was stale, but {hold['most_in_a_hold']:,} blocks"
        in text
    )
    five = pd.DataFrame([counts["c_fiveall"], counts["c_fivekeep0"]]).sum()
    assert (
        five["stale"] == 0
        and f"none of {five['reports']:,.0f} hints was stale. The callback" in text
    )
    assert f"came {five['interrupts']} times, and gave back {five['put_back']} blocks" in text


def recorded_rows(name: str) -> pd.DataFrame:
    trace = pd.read_parquet(f"{fh.data(f'linux-6.1/walkers/{name}')}.trace.parquet")
    return trace[trace["event"].astype(str).str.startswith("w_")]
