"""What clearing a page costs the guest.

No run is charged with it: the program of a simulated guest goes at a rate of its own, and what the
host clears is part of ``Costs.fault_ns`` and ``Costs.huge_fault_ns``.  It is for the price of a
page that was returned (:func:`freehint.page_price`).
"""

from dataclasses import dataclass

from freehint.inputs.rules import Checked, Cost


@dataclass(frozen=True)
class Clearing(Checked):
    """Time to clear memory that is in no cache, on the guest's side or on the host's.

    Attributes
    ----------
    clear_page_ns : int
        4 KiB.  Assumed: as ``Costs.write_ns``.
    clear_huge_ns : int
        2 MiB.  Assumed: 512 times that.
    """

    clear_page_ns: Cost = 400
    clear_huge_ns: Cost = 204_800

    where = "clearing."
