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
from freehint.record.policy import parse_policy
from freehint.record.workloads import NOTHING, workload_of

SIZE = re.compile(r"([0-9]{1,6})(M|G)(?:iB)?")
SHIFTS = {"M": 20, "G": 30}


def print_guest(args) -> bool:
    """Record a guest, and print each step's wall time and the stem."""
    order = Order(
        args.name,
        Path(args.out),
        args.kernel,
        memory_of(args.memory),
        args.cpus,
        workload_of(args.workload, "workload"),
        workload_of(args.before, "before") if args.before is not None else NOTHING,
        parse_policy(args.policy) if args.policy is not None else None,
        args.reporting,
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
