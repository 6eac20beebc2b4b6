"""The same demand under another policy: how long would its hints have lasted?

There are two ways to let a recorded guest ask for its memory again:

predicted exactly   The demand is replayed at buddy level: the same allocations and frees of the
                    free lists in the same order, and the walker's calls at the recorded moments.
                    Only the blocks may be others.  With the recorded policy nothing differs from
                    the recording, so what differs with another :class:`freehint.CallWalker` is
                    due to that policy.
simulated           :class:`freehint.RecordedGuest` runs in the engine, under any policy, whose
                    walks take the policy's own time.  So it shows more than the recording has:
                    pcp lists, locks, and waits that delay the guest.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.config import InputError, one_of, require
from freehint.engine.guest.recorded import T_AT, T_GOT, T_KIND, T_ORDER
from freehint.engine.guest.recorded_guest import RecordedGuest, recording_stem
from freehint.formats.traces import rows
from freehint.formats.traces.columns import trace_rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.policies import find_policy
from freehint.policies.call_walker import CallWalker
from freehint.replay.walker.knobs import knobs_before, policy_of
from freehint.replay.walker.other_walks import OtherWalks
from freehint.replay.walker.reuse import HINT_COLUMNS, TIME_NS, reuse_row, share
from freehint.replay.walkers import policy_text
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import new_run
from freehint.units import NS_PER_US

PREDICTED, SIMULATED = WAYS = ("predicted exactly", "simulated")
HANDED_OUT, LEFT_LISTS = REUSE = ("handed_out", "left_lists")


class Asked(NamedTuple):
    """A recording, and what is measured of it.

    at : int64[n]   positions of the recorded walker's rows, if there are any
    """

    recording: Recording
    at: np.ndarray
    reuse: str

    @property
    def times(self) -> np.ndarray:
        """int64[rows]: ns since the first row."""
        ts_us = self.recording.trace["ts_us"].to_numpy().astype(np.int64)
        return (ts_us - ts_us[0]) * NS_PER_US

    def row(self, policy: str, run: str, hints, uses, other_page, failures) -> dict:
        """One row of the table."""
        end_ns, nr_pages = int(self.times[-1]), self.recording.t0.nr_pages
        measures = reuse_row(hints, uses, end_ns, nr_pages)
        told = {"policy": policy, "run": run, **measures, "other_page": other_page}
        return told | {"failures": int(failures)}


def counterfactual(
    recording, policies, ways=WAYS, reuse="handed_out", scenario: Scenario | None = None
) -> pd.DataFrame:
    """Run the demand of a recording under other policies, and measure how long their hints last.

    Parameters
    ----------
    recording : str, Path or Recording
        ``".../NAME"`` of NAME.T0, NAME.T1 and NAME.trace, a name of the sample data, or what
        :func:`loaded` gives.
    policies : str, Policy, or a list of them
        Names in ``fh.POLICIES``, or policies of your own.
    ways : str, or sequence of str
        ``"predicted exactly"``: the demand is replayed at buddy level, and the policy makes its
        calls at the moments of the recorded walker's.  Only a :class:`freehint.CallWalker` can do
        that, and only if the recording has a walker's rows; others are left out.
        ``"simulated"``: a :class:`freehint.RecordedGuest` runs in the engine with the policy's own
        time; each walk is asked for when the recorded one began, or at T0 if there was none.
    reuse : "handed_out" or "left_lists"
        A page is used again when mm_page_alloc hands it out, or when its block leaves the free
        lists, which may be earlier: it then goes to a pcp list.  The engine does not tell the
        latter, so ``"left_lists"`` has no simulated rows.
    scenario : Scenario, optional
        Its ring, host, costs and seed are those of the simulated runs; by default a Scenario's.

    Returns
    -------
    DataFrame
        One row for the recorded walker, if there was one, and one for each policy and way:
        policy; run ("recorded", "predicted exactly" or "simulated"); reports; lost, for which the
        ring was full; duplicates, of a stay on its free list that was reported before, and
        duplicates_in_walk, in this walk; hinted_pages; used_MiB, the memory used since T0;
        on_hinted, the share of it that was hinted, and on_hinted_since, the same since the first
        hint; the shares of hinted pages that were used again within 1, 5 and 20 s of their hint
        (reused_1s ..), within 64 to 512 MiB of memory used since then (reused_64MiB ..) and until
        T1 (reused_at_end); other_page, the share of allocations that got another page than the
        recorded one; failures, allocations that found no page and rows that the lists contradict.

        A page that is hinted again before it is used keeps its first hint; one that is hinted
        again after it was used counts as another hinted page.  The share for a time or a volume
        counts only hints that are followed by that much trace, and is nan if there are none.

    Raises
    ------
    InputError
        The recording cannot be used, or there is no such policy, way or reuse.

    Examples
    --------
    >>> import freehint as fh
    >>> table = fh.counterfactual("linux-6.1/traces/idle20", ["v24", "v33"])
    >>> table[["policy", "run", "duplicates"]].values.tolist()
    [['v24', 'simulated', 0], ['v33', 'simulated', 0]]
    """
    one_of("reuse", reuse, REUSE)
    ways = (ways,) if isinstance(ways, str) else ways
    scenario = scenario or Scenario()
    require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
    for way in ways:
        one_of("ways", way, WAYS)
    several = policies if isinstance(policies, list | tuple) else (policies,)
    found = [find_policy(one) for one in several]
    recording = loaded(recording)
    at = np.flatnonzero(recording.trace["event"].str.startswith("w_"))
    asked = Asked(recording, at, reuse)
    table = [_recorded(asked)] if len(at) else []
    for policy in found:
        if PREDICTED in ways and len(at) and isinstance(policy, CallWalker):
            table.append(_predicted(asked, policy))
        if SIMULATED in ways and reuse == HANDED_OUT:
            table.append(_simulated(asked, policy, scenario))
    if not table:
        raise InputError(
            f"{recording.stem}: ways {tuple(ways)} with reuse {reuse!r} give no row for these"
            " policies"
        )
    return pd.DataFrame(table)


def loaded(recording) -> Recording:
    """A recording by its name, or itself: who asks twice of one need not load it twice."""
    if isinstance(recording, Recording):
        return recording
    return load_recording(recording_stem(recording))


def recorded_policy(recording) -> CallWalker:
    """The policy of a recording's first walk, with the recorded time between two calls.

    Parameters
    ----------
    recording : str, Path or Recording
        As for :func:`counterfactual`.

    Raises
    ------
    InputError
        The recording cannot be used, or has no walk.
    """
    recording = loaded(recording)
    begins = np.flatnonzero(recording.trace["event"] == "w_walk_begin")
    if not len(begins):
        raise InputError(f"{recording.stem}.trace.parquet: has no row w_walk_begin")
    return policy_of(knobs_before(recording, int(begins[0])))


def _recorded(asked: Asked) -> dict:
    """The row of what was recorded."""
    recording, trace = asked.recording, asked.recording.trace
    rows_of_walker = trace.iloc[asked.at]
    events = rows_of_walker["event"].astype(str).to_numpy()
    told = events == "w_report"
    places, reports = asked.at[told], rows_of_walker[told]
    walks = np.cumsum(events == "w_walk_begin")[told]
    columns = (
        places,
        asked.times[places],
        reports["pfn"].to_numpy() - recording.t0.base_pfn,
        reports["order"].to_numpy(),
        walks,
        reports["a"].to_numpy(),
        reports["c"].to_numpy(),
    )
    hints = np.column_stack(columns).astype(np.int64)
    columns, _, _ = trace_rows(recording, "probes")
    uses = _uses(asked, columns, columns.node)
    policy = policy_text(knobs_before(recording, int(asked.at[0])))
    return asked.row(policy, "recorded", hints, uses, 0.0, 0)


def _predicted(asked: Asked, policy: CallWalker) -> dict:
    """The row of a policy whose calls are made at the recorded moments."""
    recording = asked.recording
    walks = OtherWalks(recording, knobs_before(recording, int(asked.at[0])), policy)
    walks.play(asked.at)
    demand = walks.advance
    told = np.array(walks.hints, np.int64).reshape(-1, HINT_COLUMNS - 1)
    hints = np.insert(told, TIME_NS, asked.times[told[:, 0]], axis=1)
    uses = _uses(asked, demand.columns, demand.got)
    asked_for = _is_use(asked, demand.columns)
    got, recorded = demand.got[asked_for], demand.columns.node[asked_for]
    other = share((got != recorded).sum(), len(got))
    failures = (demand.got[_is_use(asked._replace(reuse=LEFT_LISTS), demand.columns)] < 0).sum()
    return asked.row(policy.name, PREDICTED, hints, uses, other, failures + demand.refused)


def _is_use(asked: Asked, columns: rows.Rows) -> np.ndarray:
    """bool[rows]: the rows at which pages are used."""
    if asked.reuse == HANDED_OUT:
        return columns.kind == rows.ALLOC
    steals = asked.recording.t0.profile.fallback == FALLBACK_CLAIMS
    steals = steals & (columns.kind == rows.EXTFRAG) & (columns.fate != rows.CLAIMED)
    return (columns.kind == rows.ZONE_LOCKED) | steals


def _uses(asked: Asked, columns: rows.Rows, nodes: np.ndarray) -> np.ndarray:
    """int64[n, 4]: the uses, in these nodes."""
    places = np.flatnonzero(_is_use(asked, columns) & (nodes >= 0))
    times, orders = asked.times[places], columns.order[places]
    return np.column_stack((places, times, nodes[places], orders)).astype(np.int64)


def _simulated(asked: Asked, policy, scenario: Scenario) -> dict:
    """The row of a policy in the engine."""
    trace, times = asked.recording.trace, asked.times
    guest = RecordedGuest(asked.recording.stem)
    begins = asked.at[(trace["event"].iloc[asked.at] == "w_walk_begin").to_numpy()]
    first, *later = times[begins].tolist() if len(begins) else [0]
    run_of = Scenario(
        policy=policy,
        workload=guest,
        ring=scenario.ring,
        host=scenario.host,
        costs=scenario.costs,
        seed=scenario.seed,
        walk_at_ns=first,
        duration_ns=guest.loaded.lap_ns + 1,
    )
    memory, inputs = guest_memory(run_of)
    engine = new_engine(run_of, memory)
    for time_ns in later:
        engine.strokes.ask_later(time_ns, "start")
    engine.run()
    run = new_run(run_of, engine, inputs)
    reports, walks = run.reports, run.walks["begin_ns"].to_numpy()
    columns = (
        reports["time_ns"],
        reports["time_ns"],
        reports["pfn"] - memory.base_pfn,
        reports["order"],
        np.searchsorted(walks, reports["time_ns"], side="right"),
        reports["taken"],
        reports["duplicate"],
    )
    hints = np.column_stack(columns).astype(np.int64)
    done = engine.world.trace[
        (engine.world.trace[:, T_KIND] == rows.ALLOC) & (engine.world.trace[:, T_GOT] >= 0)
    ]
    done = done[np.argsort(done[:, T_AT], kind="stable")]
    uses = done[:, [T_AT, T_AT, T_GOT, T_ORDER]]
    tally = run.summary
    other = 1 - share(tally["as_recorded"], tally["allocations"])
    return asked.row(policy.name, SIMULATED, hints, uses, other, tally["failed_allocations"])
