"""The options of ``freehint record guest`` for guests under reclaim."""

from freehint.record import STEPS, WORKLOADS

WORKLOADS_HELP = (
    f"workloads: {'; '.join(WORKLOADS.values())}."
    f"  Further steps of a workload whose steps ';' separates: {'; '.join(STEPS.values())}"
)


def add_reclaim_options(guest) -> None:
    """Add the options to the parser of ``freehint record guest``."""
    guest.add_argument(
        "--disk",
        metavar="FILES",
        help="an ext4 filesystem on /mnt with files of so many MiB, e.g. 'a=210 b=210'; implies"
        " --reclaim",
    )
    guest.add_argument(
        "--swap",
        type=int,
        default=0,
        metavar="MIB",
        help="a swap drive, for the step swapon; implies --reclaim",
    )
    guest.add_argument(
        "--append",
        default="",
        metavar="WORDS",
        help="for the kernel's command line, e.g. 'transparent_hugepage=always'",
    )
    guest.add_argument(
        "--reclaim",
        action="store_true",
        help="with the rows of reclaim, the context of each row, and the LRU lists at T0 and T1",
    )
