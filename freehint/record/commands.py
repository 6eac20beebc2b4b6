"""The output of ``freehint record``.

Each print function takes the parsed arguments of its command, and returns True: what cannot be
recorded is refused.
"""

import re
import shlex
from pathlib import Path

from freehint.config import InputError
from freehint.record.guest import Order, record_guest
from freehint.record.lists.snapshot import record_snapshot
from freehint.record.migration.move import MB, Migration
from freehint.record.policy import parse_policy
from freehint.record.reclaim.disks import disk_files
from freehint.record.reclaim.steps import Drives
from freehint.record.workloads import NOTHING, workload_of

SIZE = re.compile(r"([0-9]{1,6})(M|G)(?:iB)?")
SHIFTS = {"M": 20, "G": 30}
RATE = re.compile(r"([0-9]{1,6})MB/s")


def print_guest(args) -> bool:
    """Record a guest, and print each step's wall time and the stem."""
    migration = migration_of(args)
    workload = args.workload
    if workload is None:
        workload = None if migration else "fork"
    files = disk_files(args.disk) if args.disk is not None else {}
    drives = Drives(files, args.swap)
    before = NOTHING
    if args.before is not None:
        before = workload_of(args.before, "before", drives)
    order = Order(
        args.name,
        Path(args.out),
        args.kernel,
        memory_of(args.memory),
        args.cpus,
        workload_of(workload, "workload", drives) if workload is not None else NOTHING,
        before,
        parse_policy(args.policy) if args.policy is not None else None,
        args.reporting,
        migration,
        files=files,
        drives=drives,
        append=args.append,
        reclaim=args.reclaim or bool(files or args.swap),
    )
    stem = record_guest(order)
    print(f"recording: {stem}")
    print(f"next: freehint replay {shlex.quote(str(stem))} tells whether the model is this kernel")
    return True


def print_snapshot(args) -> bool:
    """Read a snapshot, and print its stem."""
    if args.vmcore and not args.vmlinux:
        raise InputError("--vmcore needs --vmlinux: the kernel with debug symbols")
    stem = record_snapshot(args.out, args.vmcore, args.vmlinux)
    print(f"every check holds; snapshot: {stem}")
    print(f"next: freehint simulate --memory {shlex.quote(str(stem))} walks its lists")
    return True


def memory_of(text: str) -> int:
    """The bytes of a size as QEMU has it, such as 512M or 2G.

    Raises
    ------
    InputError
        It is no such size.
    """
    match = SIZE.fullmatch(text)
    if not match:
        raise InputError(f"--memory must be a size such as 512M or 2G, got {text!r:.80}")
    return int(match[1]) << SHIFTS[match[2]]


def migration_of(args) -> Migration | None:
    """The migration that the arguments order; None if they order none.

    Raises
    ------
    InputError
        An option of a migration stands without --migrate, or a rate is none.
    """
    if not (args.migrate or args.hints):
        for option in ("bandwidth", "downtime_limit"):
            if getattr(args, option) is not None:
                raise InputError(f"--{option.replace('_', '-')} needs --migrate or --hints")
        return None
    given = {"hints": args.hints}
    if args.bandwidth is not None:
        match = RATE.fullmatch(args.bandwidth)
        if not match:
            raise InputError(
                f"--bandwidth must be a rate such as 50MB/s, got {args.bandwidth!r:.80}"
            )
        given["bandwidth"] = int(match[1]) * MB
    if args.downtime_limit is not None:
        given["downtime_limit"] = args.downtime_limit
    return Migration(**given)
