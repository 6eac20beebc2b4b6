"""Watchers observe an engine while it runs, and change nothing."""

from freehint.engine.world.clock import NEVER


class Watcher:
    """The engine calls each method at the moment that it describes.  Override those of interest.

    An engine without watchers calls nothing.
    """

    def begin(self, engine) -> None:
        """The engine has been made, and no event has happened yet.

        Parameters
        ----------
        engine : Engine
        """

    def next_stop_ns(self) -> int:
        """The time at which the engine is to stop next, before the events of that time.

        Returns
        -------
        int
            A time in ns, later than all earlier stops, or NEVER.
        """
        return NEVER

    def advanced(self, time_ns: int) -> None:
        """All events before ``time_ns`` have happened; a watcher or the engine stops here."""

    def stroke_chosen(self, user, now_ns: int) -> None:
        """``fill`` has chosen rows; none of them is published yet.

        Parameters
        ----------
        user : User
        now_ns : int
        """

    def stroke_published(self, user, now_ns: int) -> None:
        """The rows of a stroke are published.  Called again if the stroke waited for the lock."""

    def stroke_settled(self, user, now_ns: int) -> None:
        """``drain`` has been told the outcome of a stroke's rows."""

    def called_back(self, now_ns: int) -> None:
        """A free list ran empty, and the policies that watch for it have been told."""

    def round_synced(self, now_ns: int) -> None:
        """The migration has synced its bitmap."""

    def done(self, now_ns: int) -> None:
        """The host said DONE, and the blocks held for it were given back."""

    def finish(self) -> None:
        """The run is over."""
