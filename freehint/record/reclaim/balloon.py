"""A balloon that the host inflates or deflates in the midst of a workload."""

import time

from freehint.record.qemu import Guest
from freehint.record.reclaim.steps import Balloon
from freehint.record.workloads import Workload

SAMPLE_S = 0.25


def move_balloon(guest: Guest, step: Balloon) -> dict:
    """Set the balloon's target, and note the guest's memory until it has it or the time is over.

    Returns
    -------
    dict
        The step, the target in MiB, whether it was reached, and the course: lists of
        [seconds since the command, bytes that QEMU's query-balloon calls ``actual``].

    Raises
    ------
    ChildProcessError
        QEMU refuses it, or the guest has ended.
    """
    target, course = step.mib << 20, []
    guest.shell(f"mark FH step {step.number} begin {step.text}")
    began = time.monotonic()
    guest.qmp("balloon", value=target)
    while True:
        actual = guest.qmp("query-balloon")["actual"]
        after = time.monotonic() - began
        course.append([round(after, 2), actual])
        if actual == target or after >= step.seconds:
            break
        time.sleep(SAMPLE_S)
    reached = course[-1][1] == target
    guest.shell(f"mark FH step {step.number} end {step.text} status {0 if reached else 1}")
    return {"step": step.number, "target_MiB": step.mib, "reached": reached, "course": course}


def run_parts(guest: Guest, workload: Workload, patience_s: float) -> tuple[str, list]:
    """Run a workload, its parts one after another.

    Parameters
    ----------
    guest : Guest
    workload : Workload
    patience_s : float
        The longest that a part may take.

    Returns
    -------
    (str, list)
        What the guest said, and the course of each balloon step.

    Raises
    ------
    ChildProcessError
        A step failed, or the guest has ended.
    """
    said, courses = [], []
    for part in workload.parts or (workload.command,):
        if isinstance(part, Balloon):
            courses.append(move_balloon(guest, part))
        else:
            said.append(guest.shell(part, patience_s))
    return "\n".join(filter(None, said)), courses
