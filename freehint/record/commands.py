"""The command ``freehint record``: its arguments and its output.

Each print function takes the parsed arguments of its command, and returns the exit code.
"""

import re
from pathlib import Path

from freehint.config import InputError
from freehint.record.guest import Order, record_guest
from freehint.record.lists.snapshot import record_snapshot
from freehint.record.migration.move import MB, Migration
from freehint.record.policy import parse_policy
from freehint.record.probes import PROBES
from freehint.record.workloads import NOTHING, WORKLOADS, workload_of

SIZE = re.compile(r"([0-9]{1,6})(M|G)(?:iB)?")
SHIFTS = {"M": 20, "G": 30}
RATE = re.compile(r"([0-9]{1,6})MB/s")


def add_record(commands, parser_class) -> None:
    """Add ``record`` and its subcommands to the command line."""
    record = commands.add_parser("record", help="record a guest, or the lists of a real kernel")
    kinds = record.add_subparsers(dest="kind", required=True, parser_class=parser_class)

    guest = kinds.add_parser(
        "guest",
        help="run a stock Debian kernel under QEMU and record T0, the trace and T1",
        epilog=f"workloads: {'; '.join(WORKLOADS.values())}",
    )
    guest.add_argument("name", help="the recording's name: NAME.T0, NAME.T1, NAME.trace, NAME.info")
    guest.add_argument("--out", required=True, metavar="DIR", help="the folder for its files")
    guest.add_argument(
        "--kernel",
        default="6.1",
        help=f"{', '.join(PROBES)} or a package linux-image-*-cloud-amd64",
    )
    guest.add_argument("--memory", default="1G", help="of the guest, e.g. 512M")
    guest.add_argument("--cpus", type=int, default=1)
    guest.add_argument(
        "--workload",
        help="between T0 and T1; beside the walker if there is a --policy, and beside a migration:"
        " a name with numbers, e.g. 'fork 10', or a shell script; by default fork, and nothing"
        " beside a migration",
    )
    guest.add_argument("--before", metavar="WORKLOAD", help="the same before T0")
    guest.add_argument(
        "--policy",
        metavar="KNOBS",
        help="run the walker's module with these, e.g. 'rotate=on_exit resume=cursor capacity=96'",
    )
    guest.add_argument("--reporting", action="store_true", help="with free-page-reporting=on")
    guest.add_argument(
        "--migrate",
        action="store_true",
        help="migrate the guest to a second QEMU between T0 and T1, and read T1 there; writes"
        " NAME.migration.json.gz, too",
    )
    guest.add_argument("--bandwidth", metavar="RATE", help="of the migration; 50MB/s by default")
    guest.add_argument(
        "--downtime-limit", type=int, metavar="MS", help="of the migration; 300 by default"
    )
    guest.add_argument(
        "--hints", action="store_true", help="with free-page-hint=on; implies --migrate"
    )
    guest.set_defaults(run=print_guest)

    lists = kinds.add_parser("snapshot", help="read the exact lists of this machine or of a dump")
    source = lists.add_mutually_exclusive_group(required=True)
    source.add_argument("--live", action="store_true", help="this machine, as root")
    source.add_argument("--vmcore", metavar="FILE", help="a dump with a VMCOREINFO note")
    lists.add_argument("--vmlinux", metavar="FILE", help="the kernel with debug symbols")
    lists.add_argument("--out", required=True, metavar="DIR/NAME", help="e.g. mine/guest.T0")
    lists.set_defaults(run=print_snapshot)


def print_guest(args) -> int:
    """Record a guest, and print each step's wall time and the stem."""
    migration = migration_of(args)
    workload = args.workload
    if workload is None:
        workload = None if migration else "fork"
    order = Order(
        args.name,
        Path(args.out),
        args.kernel,
        memory_of(args.memory),
        args.cpus,
        workload_of(workload, "workload") if workload is not None else NOTHING,
        workload_of(args.before, "before") if args.before is not None else NOTHING,
        parse_policy(args.policy) if args.policy is not None else None,
        args.reporting,
        migration,
    )
    print(f"recording: {record_guest(order)}")
    return 0


def print_snapshot(args) -> int:
    """Read a snapshot, and print its stem."""
    if args.vmcore and not args.vmlinux:
        raise InputError("--vmcore needs --vmlinux: the kernel with debug symbols")
    stem = record_snapshot(args.out, args.vmcore, args.vmlinux)
    print(f"every check holds; snapshot: {stem}")
    return 0


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
