"""The options of ``freehint validate pressure``, which the command line reads at each start."""


def add_pressure(kind) -> None:
    """Add the command.

    Parameters
    ----------
    kind : callable
        (name, help, function, row, folder, room) -> the parser of a new kind of validation.
    """
    pressure = kind(
        "pressure",
        "one recording under pressure, from its T0 and its workload",
        "print_pressure",
        "quantity",
        "the stem of a recording with NAME.info.json.gz",
        "replay.pressure",
    )
    pressure.add_argument(
        "--calibrate", metavar="STEM", help="fit the times per page on this other recording"
    )
    pressure.add_argument(
        "--rates",
        metavar="FILE",
        help="TOML with times per page: written after --calibrate, else read",
    )
    pressure.add_argument(
        "--wrong",
        metavar="RULE",
        help="predict by a wrong rule, too, which must miss: no_boost, no_kswapd_flag,"
        " cache_never_reclaimed, swap_ignored, or all",
    )
