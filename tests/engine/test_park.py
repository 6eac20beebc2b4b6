"""A guest that is parked is what it was when it runs again; what each way of parking costs."""

from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.config import InputError
from freehint.engine.host.snapshot import chunks_with
from freehint.units import PAGE_SIZE

MS = 1_000_000
AT = 30 * MS


def parked(policy="v24", host=None, duration_ns=90 * MS, seed=1, **park):
    """The run of a small guest that is parked while, or after, it gives hints."""
    given = {"at_ns": AT, "write_Bps": 1 << 36, "read_Bps": 1 << 36, **park}
    scenario = fh.Scenario(
        memory="64MiB",
        policy=policy,
        seed=seed,
        host=fh.HostConfig(discard=True, **(host or {})),
        park=fh.ParkConfig(**given),
        duration_ns=duration_ns,
    )
    return fh.simulate(scenario)


def by_cause(run, column, park=0) -> dict:
    rows = run.stranded[run.stranded["park"] == park]
    return dict(zip(rows["cause"], rows[column], strict=True))


@pytest.mark.parametrize("restore", ["eager", "lazy", "prefetch"])
def test_every_page_is_what_it_was_after_each_of_several_parks(restore):
    run = parked(restore=restore, every_ns=20 * MS, record_ns=5 * MS)
    assert len(run.parks) == 3 and not run.parks["lost_pages"].any()
    assert (run.parks["stored_bytes"] == PAGE_SIZE * run.parks["stored_chunks"]).all()
    loads = run.parks["loads"].to_numpy()
    fetched = run.parks["prefetched_bytes"].to_numpy() // PAGE_SIZE
    if restore == "eager":
        assert not loads.any() and (fetched == run.parks["stored_chunks"]).all()
    else:
        assert (loads > 0).all()
        assert (fetched > 0).tolist() == [False] + 2 * [restore == "prefetch"]


def test_each_resident_and_each_stored_page_has_one_cause():
    run = parked(chunk_KiB=2048, policy="page_reporting")
    (row,) = run.parks.to_dict("records")
    assert sum(by_cause(run, "resident_pages").values()) * PAGE_SIZE == row["resident_bytes"]
    assert sum(by_cause(run, "stored_pages").values()) * PAGE_SIZE == row["stored_bytes"]
    small = parked(policy="page_reporting")
    beside = "absent or zero, in a chunk with others"
    assert by_cause(small, "stored_pages")[beside] == 0 < by_cause(run, "stored_pages")[beside]
    assert small.parks["stored_bytes"][0] < row["stored_bytes"]


def test_a_page_that_is_discarded_before_it_is_loaded_is_in_no_later_snapshot():
    freed = fh.Program(state="freed", fill_MiB=40)
    park = fh.ParkConfig(10 * MS, every_ns=60 * MS, elide="unbacked", write_Bps=1 << 36)
    host = fh.HostConfig(discard=True)
    given = {"memory": "64MiB", "workload": freed, "host": host, "park": park}
    run = fh.simulate(fh.Scenario(**given, duration_ns=100 * MS))
    first, second = run.parks["stored_bytes"]
    # The hints of the walk, at 20 ms, come between the two.
    assert first - second > (30 << 20) and run.summary["hinted_pages"] > 30 * 256
    assert not run.parks["lost_pages"].any()


def test_a_snapshot_in_which_nothing_is_elided_leaves_out_the_hole():
    park = fh.ParkConfig(AT, elide="nothing", chunk_KiB=2048, write_Bps=1 << 36, read_Bps=1 << 36)
    idle = fh.Program(state="idle")
    scenario = fh.Scenario(memory="4GiB", policy="none", workload=idle, park=park)
    run = fh.simulate(scenario.with_values({"host.discard": True, "duration_ns": 200 * MS}))
    assert run.parks["stored_bytes"].tolist() == [4 << 30]
    assert run.memory.nr_pages * PAGE_SIZE == 5 << 30


def test_what_is_elided_is_what_the_setting_says():
    stored = {elide: parked(elide=elide).parks["stored_bytes"][0] for elide in ("zero", "unbacked")}
    all_of_it = parked(elide="nothing").parks
    assert stored["zero"] <= stored["unbacked"] < all_of_it["stored_bytes"][0] == 64 << 20
    assert all_of_it["lost_pages"][0] == 0


def late(late_hints, **park):
    """The park of a guest that has hints on the ring, because its host is slow."""
    host = {"service_ns": 400_000, "gap_ns": 0}
    given = {"late_hints": late_hints, "at_ns": 22 * MS, "write_Bps": 1 << 28, **park}
    run = parked(host=host, duration_ns=400 * MS, **given)
    return run.parks.iloc[0], run.summary["lost_to_discard_pages"]


def test_a_host_that_goes_on_while_the_guest_is_paused_destroys_pages_of_the_snapshot():
    ran, _ = late("run")
    waited, lost_later = late("wait")
    dropped, lost_if_dropped = late("drop")
    assert ran["left_hints"] == waited["left_hints"] == dropped["left_hints"] > 0
    assert ran["late_hints"] > 0 == waited["late_hints"] == dropped["late_hints"]
    assert ran["lost_pages"] > 0 == waited["lost_pages"] == dropped["lost_pages"]
    assert lost_if_dropped < lost_later


def test_a_drain_takes_the_ring_empty_before_the_pause_or_its_time():
    drained, _ = late("run", drain_ns=20 * MS)
    assert drained["left_hints"] == drained["lost_pages"] == 0
    assert 0 < drained["pause_ns"] - drained["order_ns"] < 20 * MS
    short, _ = late("run", drain_ns=MS // 10)
    assert short["left_hints"] > 0 and short["pause_ns"] - short["order_ns"] == MS // 10


def test_the_guest_stands_still_while_it_is_parked():
    run = parked(parked_ns=20 * MS)
    (row,) = run.parks.to_dict("records")
    assert row["resume_ns"] - row["written_ns"] == 20 * MS
    inside = run.waits.query("since_ns > @row['pause_ns'] and since_ns < @row['resume_ns']")
    assert inside.empty
    still = run.history.query("order >= 0 and time_s > 0.032 and time_s < 0.049")
    assert still.groupby("order")["blocks"].nunique().eq(1).all()


def test_a_larger_chunk_is_loaded_in_fewer_and_longer_loads():
    small, large = (parked(chunk_KiB=size).parks.iloc[0] for size in (4, 2048))
    assert large["loads"] < small["loads"] == small["loaded_pages"] < large["loaded_pages"]


def test_an_absent_page_is_in_every_chunk_that_has_one_wanted_page():
    pages = np.zeros(2, np.uint64)
    pages[0] = 1 << 5
    assert chunks_with(pages, 0) is pages
    assert chunks_with(pages, 3).tolist() == [0xFF, 0]
    assert chunks_with(pages, 7).tolist() == [(1 << 64) - 1] * 2


@pytest.mark.parametrize(
    ("backend", "frees"),
    [("dontneed", True), ("punch_hole", True), ("free", False), ("nothing", False)],
)
def test_what_becomes_of_resident_memory_with_each_backend(backend, frees):
    run = parked("v24", host={"backend": backend}, at_ns=80 * MS)
    resident = run.resident["resident_pages"].to_numpy()
    row = run.parks.iloc[0]
    assert (run.summary["discarded_pages"] > 0) == frees
    assert (np.diff(resident[resident.nonzero()][:80]) >= 0).all() != frees
    assert run.violations.query("what.str.contains('lost')").empty != frees
    assert row["lost_pages"] == 0


def test_bad_values_are_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"park\.chunk_KiB must be a power of two.*, got 12"):
        fh.ParkConfig(chunk_KiB=12)
    with pytest.raises(InputError, match=r"host\.backend must not be free on hugetlb"):
        fh.HostConfig(backend="free", pages="hugetlb")
    with pytest.raises(InputError, match=r"scenario\.park must be None in a scenario with a migr"):
        fh.Scenario(migration=fh.MigrationConfig(), park=fh.ParkConfig())


def test_the_tables_of_a_parked_run_are_saved_and_read_back(tmp_path):
    run = parked()
    read = fh.Run.load(run.save(tmp_path / "run"))
    assert read.parks.equals(run.parks) and read.stranded.equals(run.stranded)
    assert replace(read, memory=None).table_names[-2:] == ("parks", "stranded")
