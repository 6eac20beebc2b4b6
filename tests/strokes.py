"""A policy's strokes on a memory that is checked around every verb."""

from freehint.config import InputError
from freehint.mm.check import check_memory
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome


class Strokes(Drive):
    """A Drive that checks the whole memory, and keeps its strokes in ``done``."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.done = []

    def stroke(self) -> bool:
        """One stroke; False if the walk was over before it, or is after it."""
        found = super().stroke()
        check_memory(self.memory)
        if found is not None:
            self.done.append(found)
        return not self.over

    def decide(self, rows):
        """Check what ``fill`` chose, before anything else."""
        check_memory(self.memory)
        assert not self.policy.stroke_capacity or len(rows) <= self.policy.stroke_capacity
        return super().decide(rows)

    def to_end(self, most=10_000):
        """All strokes of a walk; fails the test if it does not end."""
        for _ in range(most):
            if not self.stroke():
                return self
        raise AssertionError(f"{self.policy} does not end")

    @property
    def reported(self):
        """(node, order) of every row that the ring took."""
        return [
            row
            for one in self.done
            for row, outcome in zip(one.rows, one.outcomes)
            if outcome in (Outcome.TAKEN, Outcome.USED)
        ]


def refused_with_a_reason(make) -> bool:
    """Does making a policy raise one clear sentence?"""
    try:
        make()
    except InputError as error:
        assert "policy." in str(error)
        return True
    return False
