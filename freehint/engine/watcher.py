"""Who watches an engine while it runs, and changes nothing."""

from freehint.engine.world.clock import NEVER


class Watcher:
    """Override what is to be seen; the engine calls it at the moments named here.

    An engine without watchers calls nothing.
    """

    def begin(self, engine) -> None:
        """The engine is made, and nothing has happened yet.

        Parameters
        ----------
        engine : Engine
        """

    def next_stop_ns(self) -> int:
        """When the engine is to stop next, before the events of that time.

        Returns
        -------
        int
            A time in ns, later than all at which it has stopped, or NEVER.
        """
        return NEVER

    def advanced(self, time_ns: int) -> None:
        """All events before ``time_ns`` have happened: somebody's stop, or a moment of the run."""

    def stroke_chosen(self, user, now_ns: int) -> None:
        """``fill`` has chosen rows; none of them is published yet.

        Parameters
        ----------
        user : User
        now_ns : int
        """

    def stroke_published(self, user, now_ns: int) -> None:
        """The rows of a stroke are published.  Once more where it had to wait for the lock."""

    def stroke_settled(self, user, now_ns: int) -> None:
        """``drain`` has heard what became of a stroke's rows."""

    def called_back(self, now_ns: int) -> None:
        """A free list ran empty, and the policies that asked for it were told."""

    def round_synced(self, now_ns: int) -> None:
        """The migration has synced its bitmap."""

    def done(self, now_ns: int) -> None:
        """The host said DONE, and the blocks held for it were given back."""

    def finish(self) -> None:
        """The run is over."""
