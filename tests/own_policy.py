"""Policies that a worker process of a sweep can import."""

import freehint as fh


@fh.kernel
def fill(memory, state, zone, report, capacity):
    """Report nothing."""
    return 0, 1


@fh.kernel
def fill_wrongly(memory, state, zone, report, capacity):
    """Claim more rows than there is room for."""
    return capacity + 1, 1


@fh.kernel
def drain(memory, state, zone, report, n, outcome):
    """Do nothing."""
    return 0


QUIET = fh.Policy("quiet", fill, drain)
WRONG = fh.Policy("wrong", fill_wrongly, drain)
