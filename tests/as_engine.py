"""Large kernels of reclaim and compaction, called as the engine calls them: with pinned tuples.

Late kernels stay apart from a kernel that takes pinned tuples, and are those that the engine has
compiled already.  Compiled for plain tuples, each of these would hold all of them once more.
"""

from freehint.jit.pinned import pinned
from freehint.mm.compact import direct as compact_direct
from freehint.mm.compact import kcompactd
from freehint.mm.compact import zone as compact_zone
from freehint.mm.reclaim import direct, kswapd, shrink, slowpath

MOST = 16
_pins = {}  # id -> the tuple, which keeps its id, and its pin


def _pin(value):
    if not hasattr(value, "_fields"):
        return value
    if id(value) not in _pins:
        if len(_pins) == MOST:
            _pins.clear()
        _pins[id(value)] = value, pinned(value)
    return _pins[id(value)][1]


def _called(kernel):
    return lambda *arguments: kernel(*map(_pin, arguments))


alloc, alloc_no_reclaim = _called(slowpath.alloc), _called(slowpath.alloc_no_reclaim)
kswapd_step, next_round = _called(kswapd.kswapd_step), _called(shrink.next_round)
memory_reclaim, drop_caches = _called(direct.memory_reclaim), _called(direct.drop_caches)
reclaim_with_force = _called(direct.reclaim_with_force)
direct_compact = _called(compact_direct.direct_compact)
try_to_compact_pages = _called(compact_direct.try_to_compact_pages)
compact_node, step_zone = _called(compact_direct.compact_node), _called(compact_zone.step_zone)
kcompactd_step = _called(kcompactd.kcompactd_step)
