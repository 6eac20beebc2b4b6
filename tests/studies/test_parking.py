"""vm0's sandboxes and many guests, as small as they can be."""

import pytest

import freehint as fh
from freehint.studies.parking import (
    FREED_MIB,
    GUESTS,
    PUBLISHED,
    by_cause,
    given_back,
    last_parks,
    many,
    queued_hints,
    sandbox,
    six_sandboxes,
)
from freehint.units import NS_PER_MS, PAGE_SIZE

# A guest with hints on the ring when it is parked, because its host is slow.
BUSY = fh.Scenario(
    memory="64MiB",
    host=fh.HostConfig(discard=True, service_ns=400_000, gap_ns=0),
    park=fh.ParkConfig(at_ns=22 * NS_PER_MS, write_Bps=1 << 28),
    duration_ns=400 * NS_PER_MS,
)


def test_guests_that_are_parked_lose_nothing():
    found = many(3, "64MiB", scheduler=None)
    assert found["parks"] == found["guests"] == 3 and found["lost_pages"] == 0
    assert found["guests_per_s"] > 0


def test_the_sandboxes_differ_in_what_was_reclaimed_before_alone():
    left, reclaimed = sandbox(False, 1), sandbox(True, 1)
    assert left.workload == reclaimed.workload and left.memory == reclaimed.memory
    assert left.control.given_at == () and reclaimed.control.given_at == ("balloon",)
    assert list(PUBLISHED) == [False, True]


def test_one_sandbox_leaves_what_it_freed_unless_that_is_reclaimed():
    table = six_sandboxes(guests=1)
    left, reclaimed = table["resident_MiB"][False], table["resident_MiB"][True]
    assert 0.8 * FREED_MIB < (left - reclaimed) / GUESTS < FREED_MIB
    assert table["error"].abs().max() < 0.25
    assert table.drop(columns=["resident_MiB", "published_MiB", "error"]).sum(axis=1)[
        True
    ] == pytest.approx(reclaimed)


def test_hints_that_outlive_the_pause_cost_a_walkers_guest_data_unless_they_are_dropped():
    table = queued_hints(BUSY, ["v24"], [1])
    assert table.index.tolist() == [("v24", "run"), ("v24", "wait"), ("v24", "drop")]
    assert table["queued"].nunique() == 1 and (table["queued"] > 0).all()
    stored, later = table["pages lost in the snapshot"], table["pages lost later"]
    assert (stored > 0).tolist() == [True, False, False]
    assert later["v24", "wait"] > later["v24", "drop"] == 0


def test_what_a_snapshot_stores_is_split_by_cause():
    runs = {size: fh.simulate(BUSY.with_values({"park.chunk_KiB": size})) for size in (4, 1024)}
    stored, parks = by_cause(runs), last_parks(runs)
    assert (stored.sum(axis=1) * 2**20).tolist() == parks["stored_bytes"].tolist()
    resident = by_cause(runs, "resident_pages").sum(axis=1) * 256 * PAGE_SIZE
    assert resident.tolist() == parks["resident_bytes"].tolist()


def test_what_each_kind_of_host_gives_back():
    pieces = fh.Program(state="frag", frag_MiB=16)
    table = given_back(BUSY.with_values({"park": None, "workload": pieces, "policy": "v24"}))
    assert len(table) == 11  # hugetlb has no MADV_FREE
    kinds = ("left_MiB", "lazy_MiB", "kept_MiB", "refused_MiB")
    most = table[list(kinds)].idxmax(axis=1)
    assert most["dontneed", "4KiB"] == most["punch_hole", "thp"] == "left_MiB"
    assert most["free", "4KiB"] == "lazy_MiB" and most["nothing", "thp"] == "kept_MiB"
    assert most["dontneed", "hugetlb"] == "refused_MiB"
    assert table["splits"]["dontneed", "thp"] > 0 == table["splits"]["dontneed", "4KiB"]
