"""The sysctls in vm. that steer reclaim, with the kernel's ranges.

Source: kernel/sysctl.c and mm/page_alloc.c of Linux 6.1.
"""

from dataclasses import dataclass, fields

import numpy as np

from freehint.config import InputError
from freehint.mm.memory import WMARK_MIN, Memory
from freehint.mm.profile import profile_name
from freehint.mm.watermark import watermarks_from


@dataclass(frozen=True)
class Sysctl:
    """The sysctls that steer reclaim, by the kernel's names in ``vm.``

    Attributes
    ----------
    swappiness : int
        0 to 200.
    min_free_kbytes : int or None
        None: as the kernel computes it; the guest keeps its watermarks.
    watermark_scale_factor : int
        Distance between the watermarks in 1/10000 of the memory, 1 to 3000.
    watermark_boost_factor : int
        Largest boost in 1/10000 of the high watermark; 0 turns boosts off.  Values above 15000
        have the effect of 15000.
    compaction_proactiveness : int
        0 to 100.
    dirty_ratio, dirty_background_ratio : int
        Percentages of the memory that may be cache, 0 to 100.
    lru_gen : int or None
        1: the multi-generation LRU, 0: active and inactive lists; None: as the kernel's build has
        it (/sys/kernel/mm/lru_gen/enabled, which is not below ``vm.``).

    Raises
    ------
    InputError
        A value is outside of the kernel's range.
    """

    swappiness: int = 60
    min_free_kbytes: int | None = None
    watermark_scale_factor: int = 10
    watermark_boost_factor: int = 15000
    compaction_proactiveness: int = 20
    dirty_ratio: int = 20
    dirty_background_ratio: int = 10
    lru_gen: int | None = None

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            least, most = RANGES[field.name]
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise InputError(f"vm.{field.name} must be an integer, got {value!r}")
            if not least <= value <= most:
                raise InputError(
                    f"vm.{field.name} must lie in {least}..{most} (the kernel's range), got {value}"
                )


# kernel/sysctl.c; watermark_scale_factor's upper end is 10 % before 5.17 and 30 % since.
RANGES = {
    "swappiness": (0, 200),
    "min_free_kbytes": (0, 2**31 - 1),
    "watermark_scale_factor": (1, 3000),
    "watermark_boost_factor": (0, 2**31 - 1),
    "compaction_proactiveness": (0, 100),
    "dirty_ratio": (0, 100),
    "dirty_background_ratio": (0, 100),
    "lru_gen": (0, 1),
}


def set_sysctls(memory: Memory, node: np.recarray, sysctl: Sysctl) -> None:
    """Write the sysctls into the node's record, and the watermarks that follow from them."""
    for field in fields(sysctl):
        value = getattr(sysctl, field.name)
        node[field.name] = -1 if value is None else value
    if sysctl.lru_gen is None:
        node.lru_gen = memory.profile.lru_gen
    elif sysctl.lru_gen and not memory.profile.lru_gen:
        raise InputError(
            "lru_gen 1 needs a kernel from 6.12 on, got a guest with Linux"
            f" {profile_name(memory.profile)}"
        )
    lowest, scale = sysctl.min_free_kbytes, sysctl.watermark_scale_factor
    if lowest is None and scale == Sysctl.watermark_scale_factor:
        return
    managed = memory.zones.managed
    if lowest is not None and lowest // 4 >= managed.sum():
        raise InputError(
            f"vm.min_free_kbytes must be smaller than the guest's {managed.sum() * 4} kB of"
            f" memory, got {lowest}"
        )
    pages = int(memory.zones.watermark[:, WMARK_MIN].sum()) if lowest is None else lowest // 4
    memory.zones.watermark[:] = watermarks_from(managed, pages, scale)
