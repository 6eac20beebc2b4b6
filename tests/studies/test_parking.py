"""vm0's sandboxes and many guests, as small as they can be."""

import pytest

from freehint.studies.parking import FREED_MIB, PUBLISHED, many, sandbox, six_sandboxes


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
    assert 0.8 * FREED_MIB < left - reclaimed < FREED_MIB
    assert table["error"].abs().max() < 0.25
    assert table.drop(columns=["resident_MiB", "published_MiB", "error"]).sum(axis=1)[
        True
    ] == pytest.approx(reclaimed)
