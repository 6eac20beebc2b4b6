"""vm0's sandboxes and many guests, as small as they can be."""

from freehint.studies.parking import PUBLISHED, many, sandbox


def test_guests_that_are_parked_lose_nothing():
    found = many(3, "64MiB", scheduler=None)
    assert found["parks"] == found["guests"] == 3 and found["lost_pages"] == 0
    assert found["guests_per_s"] > 0


def test_the_sandboxes_differ_in_what_was_reclaimed_before_alone():
    left, reclaimed = sandbox(False, 1), sandbox(True, 1)
    assert left.workload == reclaimed.workload and left.memory == reclaimed.memory
    assert left.control.given_at == () and reclaimed.control.given_at == ("balloon",)
    assert list(PUBLISHED) == [False, True]
