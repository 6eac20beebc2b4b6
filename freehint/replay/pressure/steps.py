"""The steps of a recorded workload and their times, as jobs such as "read a b" or "fill 600".

The recorder marks where each step begins and ends.  Recordings from before the marks have a shell
command, and a row names the process that ran: a command's step begins with its process's first row
and ends with its last.
"""

import re

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.traces.marks import marked_steps

STEP_COLUMNS = ("step", "job", "begin_us", "end_us")
_FILE = r"/mnt/([a-z][a-z0-9_]*)"
# Shell commands of recordings without marks: pattern, job, and the name of their processes.
_COMMANDS = (
    (rf"cat {_FILE} > {_FILE}", r"copy \1 \2", "cat"),
    (rf"cat ({_FILE}(?: {_FILE})*) > /dev/null", r"read \1", "cat"),
    (rf"dd if=/dev/zero of={_FILE} bs=64k count=(\d+)(?: 2>/dev/null)?", r"write \1 \2", "dd"),
    (rf"rm {_FILE}", r"rm \1", "rm"),
    (r"sync", "sync", "sync"),
    (r"wl_fork (\d+)", r"fork \1", "busybox"),
    (r"fhload (fill|dirty|frag) ([\d ]+)", r"\1 \2", "fhload"),
    (r"echo 1 > /proc/sys/vm/compact_memory", "compact_memory", "init"),
    (r"swapon [a-z/]+", "swapon", "swapon"),
)
_DD_MIB = 16  # blocks of 64 KiB in a MiB
SETTINGS = ("mount ", "echo ")  # commands that are no job


def jobs_of_command(command: str, where) -> list[tuple[str, str]]:
    """The jobs of a shell command, and the names of the processes that do them.

    Parameters
    ----------
    command : str
        Commands of the developers' recordings, separated by ``;``.
    where : str
        The file and field, for the message.

    Raises
    ------
    InputError
        A command is not among those that are known.
    """
    found = []
    for part in filter(None, map(str.strip, command.split(";"))):
        for pattern, job, comm in _COMMANDS:
            if match := re.fullmatch(pattern, part):
                found.append((_job(match, job), comm))
                break
        else:
            if not part.startswith(SETTINGS):
                raise InputError(f"{where}: command {part!r:.80} is no known step")
    return found


def _job(match: re.Match, job: str) -> str:
    text = match.expand(job).replace("/mnt/", "")
    words = text.split()
    if words[0] == "write":
        words[2] = str(-(-int(words[2]) // _DD_MIB))
    return " ".join(words)


def steps_of(trace: pd.DataFrame, info: dict, where) -> pd.DataFrame:
    """The steps between T0 and T1.

    Parameters
    ----------
    trace : DataFrame
        The rows between T0 and T1, in order of time.
    info : dict
        The content of NAME.info.json.gz.
    where : str
        The file, for messages.

    Returns
    -------
    DataFrame
        STEP_COLUMNS; times are those of the trace.  A step that has no row of its own takes no
        time.

    Raises
    ------
    InputError
        There are neither marks nor known commands, or the marks do not pair.
    """
    steps = _marked(trace, where) or _by_process(trace, info, where)
    if not steps:
        raise InputError(f"{where}: has no step of the workload between T0 and T1")
    return pd.DataFrame(steps, columns=list(STEP_COLUMNS))


def _marked(trace: pd.DataFrame, where) -> list[tuple]:
    """Steps from the recorder's marks; [] if there are none."""
    steps = []
    for step in marked_steps(trace):
        job = step.text.removeprefix("load ")
        for us, what in ((step.begin_us, "begin after T0"), (step.end_us, "end before T1")):
            if us is None:
                raise InputError(f"{where}: step {step.step} ({job!r:.80}) does not {what}")
        steps.append((step.step, job, step.begin_us, step.end_us))
    return steps


def _by_process(trace: pd.DataFrame, info: dict, where) -> list[tuple]:
    """Steps from the processes that ran, one after another."""
    jobs = jobs_of_command(info["command"], f"{where}: field 'command'")
    comm, pid = trace["comm"].astype(str).to_numpy(), trace["pid"].to_numpy()
    us = trace["ts_us"].to_numpy()
    steps, at, last_us = [], 0, int(us[0]) if len(us) else 0
    for number, (job, name) in enumerate(jobs, 1):
        rows = np.flatnonzero(comm[at:] == name) + at
        if not len(rows):
            steps.append((number, job, last_us, last_us))
            continue
        if job.startswith("fork"):  # many processes: until the next job's first row
            later = [other for _, other in jobs[number:]]
            ends = np.flatnonzero(np.isin(comm[rows[0] :], later)) + rows[0]
            mine = rows if not len(ends) else rows[rows < ends[0]]
        else:
            mine = rows[pid[rows] == pid[rows[0]]]
        steps.append((number, job, int(us[rows[0]]), int(us[mine[-1]])))
        at, last_us = int(mine[-1]) + 1, int(us[mine[-1]])
    return steps
