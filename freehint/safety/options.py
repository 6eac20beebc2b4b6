"""The options of ``freehint explore``; importing this costs nothing."""

from freehint.inputs.source import keys


def add_explore(commands) -> None:
    """Add the command to the parser of the command line."""
    every = commands.add_parser(
        "explore", help="can it corrupt memory? every interleaving of a small guest"
    )
    names = keys("freehint.policies", "POLICIES")
    several = {"action": "append"}
    every.add_argument("--policy", choices=names, help="v24 by default; repeatable", **several)
    every.add_argument("--report", choices=("own", "under_lock", "unlocked", "acknowledged"))
    every.add_argument("--generation", choices=("G1", "G2", "G3"), help="repeatable", **several)
    every.add_argument(
        "--chunk", type=int, help="log2 of its pages: 1 below a block, 4 all pages", **several
    )
    for name in (
        "initially-set",
        "discard",
        "fine-host",
        "effect",
        "postcopy",
        "snapshot",
        "drain",
        "switch",
        "spec",
        "shoulds",
    ):
        every.add_argument(f"--{name}", action="store_const", const=True)
    every.add_argument(
        "--full-ring", choices=("own", "lose", "stop", "wait"), help="what the policy does then"
    )
    every.add_argument(
        "--ends",
        choices=("unchecked", "fair", "alone"),
        help="does every walk end, if the host takes its turns, or even without?",
    )
    bounds = ("vcpus", "blocks", "ring", "rounds", "capacity", "operations")
    for name in (*bounds, "report-order", "gate"):
        every.add_argument(f"--{name}", type=int, metavar="N", help="a bound; docs/safety.md")
    every.add_argument("--bug", metavar="NAME", help="a bug to put back; repeatable", **several)
    every.add_argument(
        "--watched",
        type=int,
        metavar="PAGE",
        help="keep the content of this page only; repeatable",
        **several,
    )
    every.add_argument(
        "--every-order", action="store_true", help="take no steps together: for a comparison"
    )
    every.add_argument("--most-states", type=int, default=100_000_000, metavar="N")
    every.add_argument("--most-mib", type=int, default=2048, metavar="N", help="of its tables")
    every.add_argument(
        "--checkpoint", metavar="FILE", help="keep the search there, and go on from it"
    )
    every.add_argument(
        "--random", type=int, metavar="N", help="N schedules at random, not every one"
    )
    every.add_argument(
        "--pct", type=int, metavar="DEPTH", default=0, help="with priorities, for bugs of a depth"
    )
    every.add_argument("--seed", type=int, metavar="S", default=0, help="of these schedules")
    every.add_argument(
        "--steps", type=int, metavar="K", default=200, help="the most of such a schedule"
    )
    every.add_argument(
        "--histories", type=int, metavar="N", help="2 x N whole migrations, of 64 MiB guests"
    )
    every.add_argument("--replay", metavar="SCHEDULE", help="play one schedule, told in words")
    every.set_defaults(run="freehint.safety.commands.print_exploration")
