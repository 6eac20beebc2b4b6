"""What undo goes back to."""

MOST_STEPS = 200


class History:
    """Earlier states of a panel's knobs.

    Turns of one knob that follow each other without a rest are one step, so a drag is undone at
    once.
    """

    def __init__(self):
        self._past, self._going = [], None

    def __len__(self) -> int:
        return len(self._past)

    def note(self, state, what) -> None:
        """Keep the state before a turn of ``what``."""
        if what != self._going:
            self._past = [*self._past, state][-MOST_STEPS:]
        self._going = what

    def rest(self) -> None:
        """Let the next turn be a step of its own."""
        self._going = None

    def clear(self) -> None:
        """Forget all steps."""
        self._past, self._going = [], None

    def back(self):
        """Take out the state before the last step.

        Raises
        ------
        IndexError
            There is none.
        """
        self._going = None
        return self._past.pop()
