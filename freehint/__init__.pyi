# The public names and their modules: type checkers read them here, and so does __init__.py.

from freehint import figures, widgets
from freehint.config import InputError
from freehint.data import data
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.programs import Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.engine.host.shared import SharedHost
from freehint.engine.world.records import Costs
from freehint.engine.world.ring import RingConfig
from freehint.formats.boot import make_memory
from freehint.formats.proc import memory_from_proc
from freehint.formats.snapshot_out import save_snapshot
from freehint.formats.snapshots import load_snapshot
from freehint.formats.tables import free_lists, pageblocks, pcp_lists
from freehint.formats.traces.read import read_trace
from freehint.jit import kernel
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.memory import Memory
from freehint.mm.profile import LINUX_4_15, LINUX_5_10, LINUX_6_1, LINUX_6_12, LINUX_7_3, PROFILES
from freehint.policies import POLICIES
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.call_five_step import CallFiveStep
from freehint.policies.call_walker import CallWalker
from freehint.policies.compact_report import CompactReport
from freehint.policies.five_step import FiveStep
from freehint.policies.interface import v24, walk_free_mem_block
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Outcome, Policy, Stroke
from freehint.policies.walker import Walker
from freehint.record.lists.snapshot import record_snapshot
from freehint.replay.counterfactual import counterfactual
from freehint.replay.recorded_walk import record_walk
from freehint.replay.replay import replay, replay_history
from freehint.replay.result import Replay
from freehint.replay.validate import (
    validate_hints,
    validate_migration,
    validate_replay,
    validate_reporting,
)
from freehint.replay.walkers import validate_walker
from freehint.reports.findings import findings, migration_findings
from freehint.reports.glossary import glossary
from freehint.reports.parameters import check_parameters
from freehint.runs.cited.citations import bibtex, citations
from freehint.runs.control import Control
from freehint.runs.costs.clearing import Clearing
from freehint.runs.costs.file import load_clearing, load_costs
from freehint.runs.costs.sources import cost_sources
from freehint.runs.overcommit import Guest, Overcommit, overcommit
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.runs.tables.compare import comparison, provenance_table, summaries
from freehint.runs.trajectory.trajectory import Trajectory, record
from freehint.safety.exhaust.explore import explore
from freehint.studies.chart.chart import decision_chart
from freehint.studies.costs.price import page_price
from freehint.studies.thread_run import thread_trajectory
from freehint.studies.verdicts import verdicts
from freehint.studies.verify.verify import verify
from freehint.sweeps.optimise import Optimum, optimise
from freehint.sweeps.paired import paired
from freehint.sweeps.sampling import Sample, latin_hypercube, sobol
from freehint.sweeps.sensitivity import morris, saltelli, sensitivity
from freehint.sweeps.sweep import sweep
from freehint.version import __version__
from freehint.widgets.player.widget import Player

__all__ = [
    "LINUX_4_15",
    "LINUX_5_10",
    "LINUX_6_1",
    "LINUX_6_12",
    "LINUX_7_3",
    "POLICIES",
    "PROFILES",
    "BalloonAlloc",
    "CallFiveStep",
    "CallWalker",
    "Clearing",
    "CompactReport",
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
    "ParkConfig",
    "Player",
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
    "UnderPressure",
    "Walker",
    "Workload",
    "__version__",
    "bibtex",
    "check_memory",
    "check_parameters",
    "citations",
    "comparison",
    "cost_sources",
    "counterfactual",
    "data",
    "decision_chart",
    "explore",
    "figures",
    "findings",
    "free_lists",
    "glossary",
    "kernel",
    "latin_hypercube",
    "load_clearing",
    "load_costs",
    "load_snapshot",
    "make_memory",
    "memory_from_proc",
    "migration_findings",
    "morris",
    "optimise",
    "overcommit",
    "page_price",
    "pageblocks",
    "paired",
    "pcp_lists",
    "provenance_table",
    "read_trace",
    "record",
    "record_snapshot",
    "record_walk",
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
    "validate_walker",
    "verdicts",
    "verify",
    "walk_free_mem_block",
    "widgets",
]
