"""The progress of a run, as ``simulate`` reports it to a callable, and a bar that shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from freehint.units import NS_PER_S, PAGE_SIZE

BAR = "{desc}: {n:.2f} of {total:.2f} simulated s |{bar}| {elapsed}{postfix}"


class Progress(NamedTuple):
    """A moment of a run.

    step_ns : int      time simulated since the moment reported before
    time_ns : int      time simulated so far
    migration : str    none, active, completed or cancelled
    rounds : int       syncs of the migration's bitmap so far
    sent_bytes : int   bytes that the migration has sent so far
    left_bytes : int   bytes of the memory in its bitmap
    """

    step_ns: int
    time_ns: int
    migration: str = "none"
    rounds: int = 0
    sent_bytes: int = 0
    left_bytes: int = 0

    @property
    def headline(self) -> str:
        """The migration in a few words; empty before it begins."""
        sent = f"{self.sent_bytes / 1e6:,.0f} MB sent"
        if self.migration == "active":
            return f"round {self.rounds}, {sent}, {self.left_bytes / 1e6:,.0f} MB left"
        return "" if self.migration == "none" else f"{self.migration}, {sent}"


def progress_of(engine, step_ns: int, time_ns: int) -> Progress:
    """The progress of an engine's run."""
    migration, record = engine.migration, engine.world.migration[0]
    if migration is None:
        return Progress(step_ns, time_ns)
    left = int(record.pages_left) * PAGE_SIZE
    sent = int(record.sent_bytes)
    return Progress(step_ns, time_ns, migration.status, len(migration.rounds), sent, left)


@contextmanager
def progress_bar(title: str, duration_ns: int) -> Iterator:
    """Show a bar of simulated time, followed by the migration's state, in a terminal or a notebook.

    It appears when a run takes longer than a second.  Call the yielded function with a Progress.
    """
    # Imported here: with a notebook's widgets it takes as long as numpy.
    from tqdm.auto import tqdm

    with tqdm(
        total=duration_ns / NS_PER_S, desc=title, bar_format=BAR, leave=False, delay=1
    ) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(progress.headline, refresh=False)
            bar.update(progress.step_ns / NS_PER_S)

        yield show
