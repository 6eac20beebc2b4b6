"""Units of sizes and times: a page is 4 KiB, a time is an integer number of nanoseconds."""

import re

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGES_PER_MIB = 256
MIB = 1 / PAGES_PER_MIB  # MiB per page
NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB|TiB)")
_FACTOR = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def parse_size(text: str) -> int:
    """The number of bytes of a size such as ``"256MiB"`` or ``"8GiB"``.

    Raises
    ------
    ValueError
        The text is not a number followed by KiB, MiB, GiB or TiB, or the size is not a multiple of
        a page.

    Examples
    --------
    >>> parse_size("256MiB")
    268435456
    """
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"size must be a number with KiB, MiB, GiB or TiB, got {text!r}")
    size = float(match[1]) * _FACTOR[match[2]]
    if size <= 0 or size % PAGE_SIZE:
        raise ValueError(f"size must be a positive number of whole 4 KiB pages, got {text!r}")
    return int(size)


def format_ns(ns: float) -> str:
    """A duration as text, in the largest unit (s, ms, us, ns) of which it has at least one.

    Examples
    --------
    >>> format_ns(1_500), format_ns(2_000_000_000)
    ('1.5 us', '2 s')
    """
    for limit, unit in ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (NS_PER_US, "us")):
        if abs(ns) >= limit:
            return f"{ns / limit:.3g} {unit}"
    return f"{ns:.3g} ns"


def format_pages(nr_pages: float) -> str:
    """The size of a number of pages as text, in MiB or GiB.

    Examples
    --------
    >>> format_pages(262144)
    '1 GiB'
    """
    mib = nr_pages / 256
    return f"{mib / 1024:.3g} GiB" if mib >= 1024 else f"{mib:.3g} MiB"


def format_share(share: float) -> str:
    """A share as a percentage: with two digits below 10 %, with three above.

    Examples
    --------
    >>> format_share(0.9412), format_share(0.00214), format_share(1.0), format_share(0.03)
    ('94.1 %', '0.21 %', '100 %', '3 %')
    """
    digits = 2 if abs(share) < 0.1 else 3
    return f"{100 * share:.{digits}g} %"


def micro(text: str) -> str:
    """The text with the sign of microseconds for "us", which is meant for terminals.

    Examples
    --------
    >>> micro("held for 8 us")
    'held for 8 µs'
    """
    return re.sub(r"\bus\b", "\u00b5s", text)
