"""The bounds of the numbers that describe a zone and its pcp lists, for every file that has them.

An upper bound is a number or the name of another field of the same zone; ``ALL`` stands for the
managed pages of all zones together.
"""

from freehint.config import InputError

MOST_PAGES = (1 << 31) - 1  # links are int32
MOST_INT = (1 << 31) - 1  # the kernel's int
ALL = "managed pages of all zones"

ZONE_BOUNDS = {
    "start_pfn": (0, MOST_PAGES),
    "spanned": (1, MOST_PAGES),
    "present": (0, "spanned"),
    "managed": (0, "present"),
    # Watermarks; a boost lies beside them.
    "high": (0, ALL),
    "low": (0, "high"),
    "min": (0, "low"),
    # Each pair is one field: its name in meta.json, and in /proc/zoneinfo.
    **dict.fromkeys(("watermark_boost", "boost"), (0, ALL)),
    **dict.fromkeys(("lowmem_reserve", "protection"), (0, ALL)),
    **dict.fromkeys(("nr_free_pages_stat", "nr_free_pages"), (0, "managed")),
    "nr_reserved_highatomic": (0, "managed"),
    "flags": (0, MOST_INT),
}
PCP_BOUNDS = {
    **dict.fromkeys(("count", "high", "high_min", "high_max"), (0, ALL)),
    "batch": (1, ALL),
    **dict.fromkeys(
        ("free_factor", "flags", "alloc_factor", "free_count", "expire"), (0, MOST_INT)
    ),
}


def check_bounds(values: dict, bounds: dict, pages: int, where: str) -> None:
    """Refuse numbers that no guest can have.

    Parameters
    ----------
    values : dict
        Field -> whole number, or a list of them; fields without bounds are not looked at.
    bounds : dict
        ZONE_BOUNDS or PCP_BOUNDS.
    pages : int
        The managed pages of all zones together.
    where : str
        The file and the zone, for the message.

    Raises
    ------
    InputError
        The message names the field, its bounds and its value.
    """
    for field, (least, most) in bounds.items():
        if field not in values:
            continue
        limit = pages if most == ALL else values[most] if isinstance(most, str) else most
        found = values[field]
        for value in found if isinstance(found, list) else [found]:
            if not least <= value <= limit:
                named = f" ({most})" if isinstance(most, str) else ""
                raise InputError(
                    f"{where}: field {field!r} must lie in {least}..{limit}{named}, got {value}"
                )
