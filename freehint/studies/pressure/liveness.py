"""Liveness: does a policy that holds free memory bring an OOM that the guest would not have had?

Every policy runs the same guest with the same seeds, and so does "none"; the differences are those
of pairs.  A guest that cannot reclaim has no OOM killer: there an allocation that fails stands for
it.
"""

import pandas as pd

from freehint.engine.guest.workloads import Workload
from freehint.policies import AGENTS, POLICIES, find_policy
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.disputes import checked_seeds
from freehint.sweeps.paired import paired
from freehint.units import NS_PER_MS

NONE = "none"
OUTCOMES = ("ooms", "failed_allocations", "stalls", "stall_ns", "held_pages")


def full_guest(policy, seed: int) -> Scenario:
    """A guest that fills its memory while the host asks for hints every 20 ms and is often away.

    Parameters
    ----------
    policy : str or Policy
    seed : int
    """
    policy = find_policy(policy)
    scenario = Scenario(
        memory="128MiB",
        policy=policy,
        seed=seed,
        workload=Workload(nr_cpus=2, interval_ns=4_000, live_share=0.9, growth=0.9),
        control=Control(every_ns=20 * NS_PER_MS),
        walk_at_ns=0,
        duration_ns=120 * NS_PER_MS,
    ).with_values({"host.gap_ns": 10 * NS_PER_MS})
    if policy.delay_ns is not None:  # Two seconds are longer than the run.
        scenario = scenario.with_values({"policy.delay_ns": 5 * NS_PER_MS})
    return scenario


def outcomes_of(run) -> dict:
    """The outcomes of a run; a guest that cannot reclaim has no OOM killer."""
    summary = run.summary
    failed = int(summary["failed_allocations"])
    stalls = run.waits[run.waits["kind"] != "free"]
    held = run.held.groupby("time_s")["pages"].sum()
    free = run.history.groupby("time_s")["free_pages"].sum()
    return {
        "ooms": int(summary.get("ooms", failed > 0)),
        "failed_allocations": failed,
        "stalls": len(stalls),
        "stall_ns": int(stalls["wait_ns"].sum()),
        # Held when the guest had least: does the policy keep what the guest lacks?
        "held_pages": int(held.get(free.idxmin(), 0)),
    }


def memory_runs_out(
    policies=None, seeds=range(1, 6), guest=full_guest, outcomes=outcomes_of
) -> pd.DataFrame:
    """Run a guest out of memory under each policy, with the same seeds.

    Parameters
    ----------
    policies : sequence of str or Policy, optional
        All of POLICIES and AGENTS by default; "none" is added if it is not there.
    seeds : sequence of int
    guest : callable
        ``guest(policy, seed)`` gives the Scenario.
    outcomes : callable
        ``outcomes(run)`` gives the other columns of a row as a dict.

    Returns
    -------
    DataFrame
        One row a run: policy, seed; ooms (1 for a guest that cannot reclaim and had an allocation
        fail), failed_allocations; stalls and stall_ns, of allocations that had to wait; held_pages,
        held for the host at the moment when the guest had least free memory.

    Raises
    ------
    InputError
        A policy is not known, or the seeds are no list of different whole numbers.

    Examples
    --------
    >>> from freehint.studies.pressure.liveness import memory_runs_out
    >>> memory_runs_out(["v24"], seeds=[1])["policy"].tolist()
    ['none', 'v24']
    """
    chosen = [find_policy(one) for one in (policies or [*POLICIES, *AGENTS])]
    if NONE not in [one.name for one in chosen]:
        chosen.insert(0, find_policy(NONE))
    rows = [
        {"policy": policy.name, "seed": seed, **outcomes(simulate(guest(policy, seed)))}
        for seed in checked_seeds(seeds)
        for policy in chosen
    ]
    return pd.DataFrame(rows)


def against_none(runs: pd.DataFrame, outcomes=OUTCOMES) -> pd.DataFrame:
    """What each policy adds to "none", seed by seed.

    Parameters
    ----------
    runs : DataFrame
        The result of :func:`memory_runs_out`, with a column ooms.
    outcomes : sequence of str
        The columns that are compared.

    Returns
    -------
    DataFrame
        The rows of :func:`freehint.sweeps.paired.paired`, with a column more: extra_ooms, the
        number of seeds in which the policy had an OOM and "none" had none (L3: it must be 0).
    """
    found = paired(runs, list(outcomes), NONE)
    ooms = runs.pivot(index="seed", columns="policy", values="ooms") > 0
    extra = {name: int((ooms[name] & ~ooms[NONE]).sum()) for name in ooms.columns}
    return found.assign(extra_ooms=found["level"].map(extra))
