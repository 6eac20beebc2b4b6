"""The canvas of ipympl on which a figure is live."""

from contextlib import AbstractContextManager

from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.figure import Figure


class LiveCanvas(Canvas):
    """A canvas with a toolbar beside it, without the lines above and below it.

    Parameters
    ----------
    figure : Figure
    lock : context manager
        It is held while the figure is drawn or the browser's messages are answered.
    """

    def __init__(self, figure: Figure, lock: AbstractContextManager):
        self._lock = lock
        super().__init__(figure)
        self.syncing_data_url = False  # ipympl would send an address that no browser can show
        self.header_visible = self.footer_visible = False
        self.toolbar_position = "right"
        FigureManager(self, 0).set_window_title(figure.get_label() or "figure")

    def draw(self) -> None:
        """Draw the figure, and send the picture to the browser."""
        with self._lock:
            super().draw()

    def get_diff_image(self) -> bytes | None:
        """The whole picture as a PNG, not what changed since the last; None if nothing was drawn.

        The page drops a picture that the next one overtakes before it is decoded: of whole ones
        the last is always right, but a lost difference would be missing for ever.
        """
        self._force_full = True
        return super().get_diff_image()

    def handle_event(self, event: dict):
        """Answer a message of the browser."""
        with self._lock:
            return super().handle_event(event)
