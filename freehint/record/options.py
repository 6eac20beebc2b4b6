"""The options of ``freehint record``; importing this costs nothing."""

from freehint.record.reclaim.options import WORKLOADS_HELP, add_reclaim_options


def add_record(commands) -> None:
    """Add the commands to the parser of the command line."""
    record = commands.add_parser("record", help="record a guest, or the lists of a real kernel")
    kinds = record.add_subparsers(dest="kind", required=True)

    guest = kinds.add_parser(
        "guest",
        help="run a stock Debian kernel under QEMU and record T0, the trace and T1",
        epilog=WORKLOADS_HELP,
    )
    guest.add_argument("name", help="the recording's name: NAME.T0, NAME.T1, NAME.trace, NAME.info")
    guest.add_argument("--out", required=True, metavar="DIR", help="the folder for its files")
    guest.add_argument(
        "--kernel",
        default="6.1",
        help="a series with probes, such as 6.1, or a package linux-image-*-cloud-amd64",
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
    add_reclaim_options(guest)
    guest.set_defaults(run="freehint.record.commands.print_guest")

    lists = kinds.add_parser("snapshot", help="read the exact lists of this machine or of a dump")
    source = lists.add_mutually_exclusive_group(required=True)
    source.add_argument("--live", action="store_true", help="this machine, as root")
    source.add_argument("--vmcore", metavar="FILE", help="a dump with a VMCOREINFO note")
    lists.add_argument("--vmlinux", metavar="FILE", help="the kernel with debug symbols")
    lists.add_argument("--out", required=True, metavar="DIR/NAME", help="e.g. mine/guest.T0")
    lists.set_defaults(run="freehint.record.commands.print_snapshot")
