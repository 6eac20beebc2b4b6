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
from freehint.record.reclaim.disks import check_drives
from freehint.record.reclaim.steps import Balloon, Drives
from freehint.record.workloads import NOTHING, Workload
from freehint.version import __version__

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LEAST_MEMORY, MOST_MEMORY = 256 << 20, 8 << 30  # the module's tables reach to 8 GiB
MOST_CPUS = 8
BUFFER_SHARE = 16  # the trace's buffers have memory / 16
RECLAIM_BUFFER_SHARE = 6  # under reclaim: memory / 6
# Words for the kernel's command line, but for those that the recorder needs as they are.
APPENDED = re.compile(r"[a-z][a-z0-9_.]*(?:=[A-Za-z0-9_.,:-]+)?")
OWN = ("console", "init", "initrd", "kaslr", "loglevel", "nokaslr", "panic", "rdinit", "root")


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
    files : dict             of the disk before anything runs, and their MiB; {} without a disk
    drives : Drives          what the steps leave on the disk, and the swap drive's MiB
    append : str             words for the kernel's command line
    reclaim : bool           with the rows of reclaim, and the LRU lists at T0 and T1
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
    files: dict | None = None
    drives: Drives = Drives({})
    append: str = ""
    reclaim: bool = False


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
    check_drives(order.drives.swap_mib)
    for word in order.append.split():
        if not APPENDED.fullmatch(word) or word.partition("=")[0] in OWN:
            raise InputError(
                f"--append: {word!r:.80} must be NAME or NAME=VALUE, and none of {', '.join(OWN)}"
            )
    _check_balloons(order)
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


def _check_balloons(order: Order) -> None:
    """Refuse a balloon beside a walk or a migration, or one that is larger than the memory."""
    parts = (*order.before.parts, *order.workload.parts)
    for step in (part for part in parts if isinstance(part, Balloon)):
        if order.migration or order.knobs is not None:
            raise InputError(f"step {step.text!r}: needs a guest without --policy and --migrate")
        if step.mib << 20 > order.memory:
            raise InputError(
                f"step {step.text!r}: the guest has {order.memory >> 20} MiB, and a balloon cannot"
                " give it more"
            )


def buffer_kib(order: Order) -> int:
    """KiB of the trace's buffer for each CPU."""
    share = RECLAIM_BUFFER_SHARE if order.reclaim else BUFFER_SHARE
    return order.memory // share // order.cpus >> 10


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
        "append": order.append,
        "disk_MiB": order.files or {},
        "swap_MiB": order.drives.swap_mib,
        "reclaim": order.reclaim,
        "buffer_kib": buffer_kib(order),
        "probes": [probe.line() for probe in probes.probes],
        "probes_missing": [probe.line() for probe in probes.missing],
    }
