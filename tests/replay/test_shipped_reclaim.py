"""The shipped guests under reclaim: exact at both levels, and what only they refute.

Captures of direct compactions (rc_thp), two CPUs that drain each other's lists (rc_swap_2cpu),
generations, pages that compaction keeps, and looks at all zones (rc_cache2, rc_swap2).
"""

import pandas as pd
import pytest

import freehint as fh
from freehint.formats.info import read_info


def stem(name):
    kernel, name = name.split("/")
    return fh.data(f"{kernel}/reclaim") / name


# Predictions at buddy level and at pcp level, blocks refilled, pages drained, told rotations, and
# rows put back at both levels.
EXACT = {
    "linux-6.1/rc_thp": (149_974, 154_951, 149_932, 215_422, 1926, 3, 3),
    "linux-6.1/rc_swap_2cpu": (269_735, 264_186, 269_735, 271_282, 13, 4, 6),
    "linux-6.12/rc_cache2": (362_169, 243_903, 362_169, 350_833, 41, 0, 0),
    "linux-6.12/rc_swap2": (341_414, 275_257, 341_414, 343_605, 57, 4, 9),
}


@pytest.mark.parametrize("name", EXACT)
def test_both_levels_are_exact(name):
    blocks, pages, refills, drains, told, moved, moved_pcp = EXACT[name]
    found = fh.replay(stem(name), "buddy", "probes", strict=True)
    assert (found.scored, found.misses, found.refused) == (blocks, 0, 0)
    assert (len(found.rotation_rows), found.rotations, found.moved_rows) == (told, 0, moved)
    assert found.t1_equal
    found = fh.replay(stem(name), "pcp", "probes", strict=True)
    assert (found.scored, found.misses, found.refused) == (pages, 0, 0)
    assert (found.refills, found.refill_misses) == (refills, 0)
    assert (found.drains, found.drain_misses) == (drains, 0)
    assert (len(found.rotation_rows), found.rotations, found.moved_rows) == (told, 0, moved_pcp)
    assert found.boost_ends == found.balance_ends == found.silent_pages == 0
    assert found.t1_equal and found.pcp_equal
    at_t1 = fh.load_snapshot(f"{stem(name)}.T1").zones
    for field in ("flags", "watermark_boost", "nr_free_pages"):
        assert found.memory.zones[field].tolist() == at_t1[field].tolist()
    fh.check_memory(found.memory)


# A rule taken away: level, misses.
ABLATED = [
    ("linux-6.1/rc_thp", "no_capture", "buddy", 38_456),
    ("linux-6.1/rc_swap_2cpu", "own_lists_drained", "pcp", 176_490),
    ("linux-6.12/rc_cache2", "no_look_in_vain", "pcp", 117_683),
    ("linux-6.12/rc_swap2", "free_returned", "pcp", 214_914),
]


@pytest.mark.parametrize(("name", "ablation", "level", "misses"), ABLATED)
def test_each_rule_is_needed(name, ablation, level, misses):
    found = fh.replay(stem(name), level, "probes", ablation=ablation)
    assert found.misses == misses and not found.t1_equal


def test_captures_are_as_many_as_vmstat_counts():
    info = read_info(stem("linux-6.1/rc_thp"))
    blocks, _, refills, *_ = EXACT["linux-6.1/rc_thp"]
    assert blocks - refills == info["vmstat_delta"]["compact_success"] == 42


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("moment", ["T0", "T1"])
def test_the_lru_lists_hold_pages_in_use(name, moment):
    lru = pd.read_parquet(f"{stem(name)}.{moment}.lru.parquet").astype({"list": str})
    memory = fh.load_snapshot(f"{stem(name)}.{moment}")
    free = fh.free_lists(memory)
    starts = free["pfn"].to_numpy()
    held = set()
    for pfn, order in zip(starts.tolist(), free["order"].tolist(), strict=True):
        held.update(range(pfn, pfn + (1 << order)))
    assert not held & set(lru["pfn"].tolist())
    on_lists = lru[lru["cpu"] < 0]
    assert not on_lists["pfn"].duplicated().any()
    generations = on_lists["generation"]
    assert (generations == -1).all() if "6.1/" in name else generations.between(0, 13).all()
    # Positions count within a list; with generations also within its zone and kind of page.
    zone = pd.cut(on_lists["pfn"], [-1, 4095, 1 << 30], labels=False)
    kind = on_lists["list"].str.endswith("file")
    alike = ["list"] if "6.1/" in name else [kind.rename("kind"), zone.rename("zone"), "generation"]
    for _, position in on_lists.groupby(alike)["position"]:
        assert sorted(position) == list(range(len(position)))
