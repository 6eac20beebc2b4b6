"""The names of a run's tables."""

TABLES = (
    *("summary", "reports", "locks", "waits", "walks", "history", "rounds", "violations"),
    *("resident", "work", "held", "balloon"),
)
# Tables that only some runs have: of a guest under pressure, of one that is parked.
PRESSURE_TABLES, PARK_TABLES = ("reclaim", "jobs"), ("parks", "stranded")
FURTHER_TABLES = PRESSURE_TABLES + PARK_TABLES


def further_tables(facts: dict) -> tuple:
    """The names of the tables beyond TABLES that a run with this provenance has."""
    parked = facts.get("parameters", {}).get("park") is not None
    return PRESSURE_TABLES * under_pressure(facts) + PARK_TABLES * parked


def under_pressure(facts: dict) -> bool:
    """Is the provenance that of a guest under pressure?"""
    workload = facts.get("parameters", {}).get("workload", {})
    return isinstance(workload, dict) and workload.get("kind") == "UnderPressure"
