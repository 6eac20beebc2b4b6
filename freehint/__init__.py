"""freehint: how should a guest tell its hypervisor which memory is free, and what does it buy?"""

from importlib import import_module

from freehint.config import Control, Costs, HostConfig, InputError, RingConfig
from freehint.data import data
from freehint.findings import findings, migration_findings
from freehint.formats.boot import make_memory
from freehint.formats.proc import memory_from_proc
from freehint.formats.snapshot_out import save_snapshot
from freehint.formats.snapshots import load_snapshot
from freehint.formats.tables import free_lists, pageblocks, pcp_lists
from freehint.formats.traces import read_trace
from freehint.guest.programs import Program
from freehint.guest.workloads import Workload
from freehint.host.migration import MigrationConfig
from freehint.host.overcommit import SharedHost
from freehint.jit import kernel
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.memory import Memory
from freehint.mm.profile import LINUX_4_15, LINUX_5_10, LINUX_6_1, LINUX_6_12, PROFILES
from freehint.optimise import Optimum, optimise
from freehint.overcommit import Guest, Overcommit, overcommit
from freehint.policies import POLICIES
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.five_step import FiveStep
from freehint.policies.page_reporting import PageReporting
from freehint.policies.walker import Walker
from freehint.policy import Outcome, Policy, Stroke
from freehint.provenance import provenance_table
from freehint.recorded_guest import RecordedGuest
from freehint.replay import Replay, replay, replay_history
from freehint.run import Run, comparison, summaries
from freehint.sampling import Sample, latin_hypercube, sobol
from freehint.sensitivity import morris, saltelli, sensitivity
from freehint.simulate import Scenario, simulate
from freehint.sweep import sweep
from freehint.thread_run import thread_trajectory
from freehint.trajectory import Trajectory, record
from freehint.validate import (
    validate_hints,
    validate_migration,
    validate_replay,
    validate_reporting,
)
from freehint.version import __version__
from freehint.walk import v24, walk_free_mem_block

# Pictures and widgets bring matplotlib and ipywidgets, half of the time of an import.
_LATE = ("answers", "figures", "migration_figures", "overcommit_figures", "widgets")


def __getattr__(name):
    if name in _LATE:
        return import_module(f"freehint.{name}")
    raise AttributeError(f"module 'freehint' has no attribute {name!r}")


__all__ = [
    "LINUX_4_15",
    "LINUX_5_10",
    "LINUX_6_1",
    "LINUX_6_12",
    "POLICIES",
    "PROFILES",
    "BalloonAlloc",
    "Control",
    "Costs",
    "FiveStep",
    "Guest",
    "HostConfig",
    "InputError",
    "InvariantError",
    "Memory",
    "MigrationConfig",
    "Optimum",
    "Outcome",
    "Overcommit",
    "PageReporting",
    "Policy",
    "Program",
    "RecordedGuest",
    "Replay",
    "RingConfig",
    "Run",
    "Sample",
    "Scenario",
    "SharedHost",
    "Stroke",
    "Trajectory",
    "Walker",
    "Workload",
    "__version__",
    "answers",
    "check_memory",
    "comparison",
    "data",
    "figures",
    "findings",
    "free_lists",
    "kernel",
    "latin_hypercube",
    "load_snapshot",
    "make_memory",
    "memory_from_proc",
    "migration_figures",
    "migration_findings",
    "morris",
    "optimise",
    "overcommit",
    "overcommit_figures",
    "pageblocks",
    "pcp_lists",
    "provenance_table",
    "read_trace",
    "record",
    "replay",
    "replay_history",
    "saltelli",
    "save_snapshot",
    "sensitivity",
    "simulate",
    "sobol",
    "summaries",
    "sweep",
    "thread_trajectory",
    "v24",
    "validate_hints",
    "validate_migration",
    "validate_replay",
    "validate_reporting",
    "walk_free_mem_block",
    "widgets",
]
