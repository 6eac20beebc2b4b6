"""A recording under pressure, simulated from its T0 and the parameters of its workload alone.

What is taken from the recording: the snapshot T0, the lengths of the LRU lists then, the steps'
texts, the sizes of the files, swap, and which file was read last before T0.  The times per page are
those of UnderPressure, or of another recording (``calibrate.py``).

Three things more come from the recording, because T0 does not tell them: the speed of its machine
(:func:`slowness_of`), two more numbers for "dirty" (``machine.py``), and how its host shared out
the CPU (``measured.py``, host_turns_of()).  An emulated machine is up to twice as slow as another,
and some hosts ran others in more than half of the time, while the tick and the sleeps keep their
length: how much a task gets done between two ticks depends on both.
"""

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from freehint.config import InputError, whole
from freehint.engine.guest.pressure.start import RATES as JOB_RATES
from freehint.engine.guest.pressure.under_pressure import SYSCTLS, UnderPressure
from freehint.engine.world.records import Costs
from freehint.replay.pressure.compare import Predicted
from freehint.replay.pressure.machine import dirty_slowness, host_factor
from freehint.replay.pressure.measured import FAILURES, FULL_SLEEPS, Measured
from freehint.replay.pressure.steps import jobs_of_command
from freehint.runs.control import NONE, Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import NS_PER_MS, NS_PER_S

COURSE_NS = 2 * NS_PER_MS
LONGEST = 4  # times as long as the recording; a prediction that lasts longer is cut off
# What recordings from before the steps' marks had on their drives.
FILES, SWAP_MIB = {"a": 210, "b": 210}, 600
# A round of the recorder's step "fork" lasts so long on the machine of the default times per page
# (linux-6.1/rc_cache); the model's "fork" takes seconds.
ROUND_S = 0.27
SEEDS = (1, 2, 3, 4, 5)
SETTINGS = (*SYSCTLS, "dirty_ratio", "dirty_background_ratio")
BALLOON_S = 60  # how long the recorder waits unless its step says
COSTS = ("scan_page_ns", "reclaim_page_ns", "swap_out_ns")  # RATES that are fields of Costs
# Compaction under emulation and tracing: kcompactd's rows in linux-6.1/rc_cache, without gaps over
# 2 ms, are 17.7 ms for 1267 moved pages and 2.6 ms for 16,769 scanned ones.
COMPACTION = {"migrate_page_ns": 14_000, "compact_scan_ns": 150}
# What a slow machine does slowly: fields of UnderPressure and of Costs.
GUEST_TIMES = (*JOB_RATES, "swap_in_ns")  # a read from swap is the reader's own time
DISK_TIMES = ("disk_page_ns",)  # the host works for it, so its other load counts too
COST_TIMES = (*COSTS, "deactivate_page_ns", "migrate_page_ns", "compact_scan_ns")
# Steps that do what they do at a pace, or until a time is over: they tell nothing of the speed.
PACED = ("dirty", "sleep", "fork")
_NUMBERED = re.compile(r"step \d+ ")


def workload_of(
    measured: Measured,
    rates: dict | None = None,
    wrong: str | None = None,
    slowness: float = 1.0,
) -> UnderPressure:
    """The guest of a recording, with its jobs.

    Parameters
    ----------
    measured : Measured
        Of which only T0 and the workload are used.
    rates : dict, optional
        Times per page, some of RATES.
    wrong : str, optional
        A rule to leave out, such as "no_boost".
    slowness : float
        Time that the machine needs for anything, by that of the times per page.

    Raises
    ------
    InputError
        A step or a value is not one that the model knows.
    """
    info, path = measured.info, f"{measured.stem}.info.json.gz"
    before = _jobs_before(info, path)
    files = info.get("disk_MiB", FILES)
    if not isinstance(files, dict):
        raise InputError(f"{path}: field 'disk_MiB' must be an object, got {files!r:.80}")
    swapped = any(job == "swapon" for job in (*before, *measured.steps["job"]))
    swap = info.get("swap_MiB", SWAP_MIB) if swapped else 0
    whole(f"{path}: field 'swap_MiB'", swap, 0)
    read = [job.split()[1:] for job in before if job.startswith("read ")]
    longer = slowness * host_factor(measured.host_turns)
    jobs = (job for step in measured.steps["job"] for job in model_jobs(step, longer))
    turns = ", ".join(f"{runs:.3f}+{away:.3f}" for runs, away in measured.host_turns)
    guest = UnderPressure(
        jobs="; ".join(jobs),
        files=",".join(f"{name}={mib}" for name, mib in files.items()),
        recording=measured.stem,
        cached=read[-1][-1] if read else None,
        swap_MiB=swap,
        host_turns=turns or None,
        course_ns=COURSE_NS,
        without=wrong,
        **settings_before(before, path),
        **{name: value for name, value in (rates or {}).items() if name not in COSTS},
    )
    slower = _slower(_slower(guest, GUEST_TIMES, slowness), DISK_TIMES, longer)
    told = dirty_slowness(measured.paces, guest.fill_ns, costs_of(rates), longer)
    fill, swap = (one / longer for one in told)
    return replace(
        slower,
        forks_per_s=guest.forks_per_s / longer,
        fill_slowness=fill,
        swap_slowness=swap,
    )


def costs_of(rates: dict | None) -> Costs:
    """The costs of reclaim and compaction, some of them from RATES."""
    fitted = {name: value for name, value in (rates or {}).items() if name in COSTS}
    return Costs(**COMPACTION, **fitted)


def _slower(record, names, slowness: float):
    """The same record with times that are so much longer."""
    times = {name: round(getattr(record, name) * slowness) for name in names}
    return replace(record, **times)


def model_jobs(step: str, slowness: float = 1.0) -> list[str]:
    """The jobs of UnderPressure that do a recorded step; each becomes one or more rows."""
    verb, *words = step.split()
    if verb == "fork" and len(words) == 1 and words[0].isdigit():
        return [f"fork {ROUND_S * slowness * int(words[0]):g}"]
    if verb == "rm":
        return [f"rm {name}" for name in words]
    if verb == "balloon" and len(words) == 1:
        return [f"{step} {BALLOON_S}"]
    if verb == "drop_caches":
        return ["drop_caches"]
    return [step]


def balloon_commands(measured: Measured) -> str:
    """The host's commands of a recording as ``Control.at``: targets at the times of its steps.

    Raises
    ------
    InputError
        The recording does not say how much memory the guest has.
    """
    found = []
    for job, begin_s in measured.steps[["job", "begin_s"]].itertuples(index=False):
        if not job.startswith("balloon "):
            continue
        mem, mib = str(measured.info.get("mem", "")), job.split()[1]
        if not (mem[-1:] == "M" and mem[:-1].isdigit() and mib.isdigit()):
            raise InputError(
                f"{measured.stem}.info.json.gz: field 'mem' must be MiB and M, got {mem!r:.80}"
            )
        found.append(f"{begin_s:.6f} balloon {max(0, int(mem[:-1]) - int(mib))}")
    return "; ".join(found) or NONE


def _jobs_before(info: dict, path) -> list[str]:
    """The jobs before T0, as far as they matter to the model."""
    if "disk_MiB" not in info:
        return [job for job, _ in jobs_of_command(info["pre"], f"{path}: field 'pre'")]
    parts = (_NUMBERED.sub("", part.strip(), count=1) for part in info["pre"].split("&&"))
    return [part.removeprefix("load ") for part in parts if part]


def settings_before(before: list[str], path) -> dict:
    """The parameters that sysctl and transparent_hugepage set before T0; others do not matter."""
    found = {}
    for job in before:
        verb, *words = job.split()
        if verb == "sysctl" and words[:1] and words[0] in SETTINGS:
            value = words[1] if len(words) == 2 else ""
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                raise InputError(f"{path}: field 'pre': {job!r:.80} is not sysctl SETTING VALUE")
            found[words[0]] = int(value)
        elif verb == "thp" and words[:1] == ["enabled"]:
            found["huge_pages"] = words[1:] == ["always"]
        elif verb == "thp" and words[:1] == ["defrag"]:
            found["thp_defrag"] = words[1] if len(words) == 2 else ""
        elif verb == "hold" and len(words) == 1 and words[0].isdigit():
            found["held_MiB"] = int(words[0])
    return found


def slowness_of(measured: Measured, rates: dict | None = None) -> float:
    """How slow the recorded machine was: the recorded time by the predicted one, one number.

    Only steps that end in both and have no pace of their own are added up; the part of the time in
    which the host ran others does not count.
    """
    alone = replace(measured, host_turns=())
    said = predict(alone, rates, seeds=SEEDS[:1]).steps_s
    steps = measured.steps[: len(said)]
    own = ~steps["job"].str.startswith(PACED).to_numpy()
    lasts = np.diff(said, axis=1)[:, 0][own].sum()
    recorded = (steps["end_s"] - steps["begin_s"]).to_numpy()[own].sum()
    if lasts <= 0 or recorded <= 0:
        return 1.0
    return float(recorded / lasts) / host_factor(measured.host_turns)


def predict(
    measured: Measured,
    rates: dict | None = None,
    wrong: str | None = None,
    slowness: float = 1.0,
    seeds: tuple = SEEDS,
) -> Predicted:
    """Simulate the guest of a recording from T0 on, with several seeds.

    Parameters
    ----------
    measured : Measured
    rates : dict, optional
        Times per page, some of RATES; the defaults of UnderPressure and Costs for the others.
    wrong : str, optional
        A rule to leave out, one of WRONG_RULES.
    slowness : float
        That of :func:`slowness_of`, or 1.
    seeds : tuple of int

    Returns
    -------
    Predicted
        By the first seed; ``others`` are by the others.
    """
    guest = workload_of(measured, rates, wrong, slowness)
    scenario = Scenario(
        workload=guest,
        policy="none",
        costs=_slower(costs_of(rates), COST_TIMES, slowness),
        control=Control(at=balloon_commands(measured)),
        duration_ns=int(LONGEST * measured.time_s[-1] * NS_PER_S),
    )
    factor = slowness * host_factor(measured.host_turns)
    first, *others = (
        _predicted(simulate(replace(scenario, seed=seed)), measured, factor) for seed in seeds
    )
    return replace(first, others=tuple(others))


def _predicted(run, measured: Measured, factor: float) -> Predicted:
    """What a run says."""
    course = run.reclaim
    time_s = course["time_ns"].to_numpy() / NS_PER_S
    last = course.iloc[-1]
    kills = course["oom_kill"].diff().fillna(0).to_numpy().astype(int)
    counts = {name: int(last[name]) for name in course.columns if name not in STATES}
    counts[FULL_SLEEPS] = max(0, counts["pageoutrun"] - _naps(counts))
    counts[FAILURES] = int(run.summary.get("failed_allocations", 0))
    return Predicted(
        time_s=time_s,
        free=course["free_pages"].to_numpy(),
        counts=counts,
        oom_s=tuple(np.repeat(time_s, kills).tolist()),
        oom_pages=_pages_until_kills(run.jobs),
        steps_s=_steps(run.jobs, measured.steps["job"]),
        slowness=factor,
    )


STATES = (
    *("time_ns", "free_pages", "pcp_pages", "kswapd_awake"),
    *("inactive_anon", "active_anon", "inactive_file", "active_file"),
    *("dirty_pages", "writeback_pages", "swap_free_pages"),
)


def _naps(counts: dict) -> int:
    """Times that kswapd was woken from a nap, or did not sleep at all."""
    return counts["kswapd_low_wmark_hit_quickly"] + counts["kswapd_high_wmark_hit_quickly"]


def _pages_until_kills(jobs: pd.DataFrame) -> tuple:
    """Blocks that all steps had allocated when each killed step was killed."""
    return tuple(jobs["allocations"].cumsum()[jobs["outcome"] == "killed"].tolist())


def _steps(jobs: pd.DataFrame, texts) -> np.ndarray:
    """Begin and end (s) of each step; a step on several files has one row for each.

    A killed step ends when its process has given back its pages: when the next one begins.
    """
    found, at = [], 0
    for text in texts:
        verb, *words = text.split()
        rows = jobs.iloc[at : at + (len(words) if verb in ("read", "rm") else 1)]
        at += len(rows)
        if (rows["outcome"] == "not ended").any():
            break
        end_ns = rows["end_ns"].iloc[-1]
        if rows["outcome"].iloc[-1] == "killed" and at < len(jobs):
            end_ns = max(end_ns, jobs["begin_ns"].iloc[at])
        found.append([rows["begin_ns"].iloc[0], end_ns])
    return np.array(found, float).reshape(-1, 2) / NS_PER_S
