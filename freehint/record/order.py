"""The order of a recording: what to record, its bounds, and what its info.json.gz has of it."""

import re
from pathlib import Path
from typing import NamedTuple

from freehint.config import InputError, require, whole
from freehint.inputs.reading import exists
from freehint.record import module
from freehint.record.kernels import Kernel
from freehint.record.migration.move import Migration
from freehint.record.migration.table import check_table
from freehint.record.probes import Chosen
from freehint.record.workloads import NOTHING, Workload
from freehint.version import __version__

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LEAST_MEMORY, MOST_MEMORY = 256 << 20, 8 << 30  # the module's tables reach to 8 GiB
MOST_CPUS = 8
BUFFER_SHARE = 16  # the trace's buffers have memory / 16


class Order(NamedTuple):
    """What to record.

    name : str
    out : Path               the folder for NAME.T0.* and so on
    kernel : str             a series or a package
    memory : int             bytes
    cpus : int
    workload : Workload      between T0 and T1
    before : Workload        before T0
    knobs : dict or None     of the walker; None if it does not run
    reporting : bool         free-page-reporting of the balloon
    migration : Migration or None  beside which the workload runs then
    modules : Path           the folder of the walker's sources
    """

    name: str
    out: Path
    kernel: str
    memory: int
    cpus: int
    workload: Workload
    before: Workload = NOTHING
    knobs: dict | None = None
    reporting: bool = False
    migration: Migration | None = None
    modules: Path = module.SOURCES


def check_order(order: Order) -> None:
    """Refuse an order before anything begins.

    Raises
    ------
    InputError
        A value is out of bounds, two options do not go together, or a file is in the way.
    """
    require(bool(NAME.fullmatch(order.name)), "NAME", "be letters, digits, _ and -", order.name)
    whole("--memory in bytes", order.memory, LEAST_MEMORY, MOST_MEMORY)
    whole("--cpus", order.cpus, 1, MOST_CPUS)
    if order.migration:
        order.migration.check()
        check_table(order.out)
        if order.knobs is not None:
            raise InputError(
                "--policy: a recording has a walk or a migration (--migrate), not both"
            )
    for path in sorted(order.out.glob(f"{order.name}.*")) if order.out.is_dir() else ():
        raise InputError(f"{path}: exists already; a recording never overwrites another")
    if exists(order.out) and not order.out.is_dir():
        raise InputError(f"{order.out}: is no folder")


def info_of(order: Order, kernel: Kernel, probes: Chosen) -> dict:
    """What is known before the guest boots."""
    return {
        "name": order.name,
        "freehint": __version__,
        "kernel": {"package": kernel.package, "version": kernel.version},
        "command": order.workload.command,
        "pre": order.before.command,
        "scripts": {
            name: one.script.read_text(errors="replace")
            for name, one in (("workload", order.workload), ("before", order.before))
            if one.script
        },
        "mem": f"{order.memory >> 20}M",
        "cpus": order.cpus,
        "reporting": order.reporting,
        "buffer_kib": order.memory // BUFFER_SHARE // order.cpus >> 10,
        "probes": [probe.line() for probe in probes.probes],
        "probes_missing": [probe.line() for probe in probes.missing],
    }
