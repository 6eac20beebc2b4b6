"""The options of ``freehint calibrate``; importing this costs nothing."""


def add_calibrate(commands) -> None:
    """Add the command to the parser of the command line."""
    costs = commands.add_parser(
        "calibrate", help="measure on this machine what operations cost, in a minute"
    )
    costs.add_argument(
        "-o", "--out", metavar="FILE", help="a costs file, for freehint simulate --costs FILE"
    )
    costs.set_defaults(run="freehint.studies.costs.commands.print_calibration")
