"""The figure of the thread's example: eight blocks on one list, one row per step."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from freehint.figures.drawing.palette import BLACK, GREY
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import HEADING, LABEL, TICK, axes_or_new, colour_of
from freehint.studies.thread import LETTERS, Story


@figure(
    "Eight free blocks on one list, from head (left) to tail, one row per step. White blocks are"
    " unknown to the host, green blocks were reported to it, orange blocks were reported again."
    " Ringed blocks were reported in this stroke; the black bar is the bookmark.",
    source="freehint.studies.thread.thread_story",
    wide=True,
)
def story(told: Story, ax=None) -> Axes:
    """The thread's example, one row per step: the list from head (left) to tail.

    Parameters
    ----------
    told : Story
    ax : Axes, optional
    """
    ax = axes_or_new(ax, height=0.62 * len(told.steps) + 0.8)
    for row, step in enumerate(told.steps):
        ax.text(-0.3, -row, step.what, ha="right", va="center", fontsize=LABEL)
        x = 0.0
        for name in step.chain:
            if name == "|":
                ax.plot([x - 0.12] * 2, [-row - 0.38, -row + 0.38], color=colour_of("cursor"), lw=3)
                continue
            _block(ax, x, -row, name, step)
            x += 1.0
        if not step.chain:
            ax.text(0, -row, "(empty)", va="center", color=GREY, fontsize=LABEL)
    ax.set(xlim=(-4.2, len(LETTERS)), ylim=(-len(told.steps) + 0.4, 0.95))
    ax.text(0, 0.68, "head", fontsize=TICK, color=GREY)
    ax.text(len(LETTERS) - 0.24, 0.68, "tail", fontsize=TICK, color=GREY, ha="right")
    ax.axis("off")
    ax.set_title(told.sentence, fontsize=HEADING)
    return ax


def _block(ax, x, y, name, step) -> None:
    """Draw one block: green if the host knows it, ringed if this stroke reported it."""
    twice = name in step.duplicates
    told, paper = name in step.known, colour_of("paper")
    face = colour_of("twice") if twice else colour_of("hinted") if told else paper
    # A letter on a colour keeps its own in every theme; one on the paper has that of the ink.
    ink = BLACK if twice else "white" if told else colour_of("ink")
    edge = BLACK if name in step.reported else GREY
    ax.add_patch(
        FancyBboxPatch(
            (x, y - 0.3),
            0.76,
            0.6,
            boxstyle="round,pad=0.0,rounding_size=0.1",
            facecolor=face,
            edgecolor=edge,
            linewidth=2.2 if name in step.reported else 1.0,
        )
    )
    ax.text(
        x + 0.38,
        y,
        name,
        ha="center",
        va="center",
        fontsize=HEADING,
        color=ink,
        fontweight="bold",
    )


def story_legend(ax) -> None:
    """Draw a legend of the story's colours below its axes."""
    for face, edge, width, label in (
        ("white", GREY, 1.0, "free, host does not know"),
        (colour_of("hinted"), GREY, 1.0, "host was told"),
        (colour_of("hinted"), BLACK, 2.2, "reported in this stroke"),
        (colour_of("twice"), BLACK, 2.2, "reported again in this stroke"),
    ):
        ax.scatter(
            [], [], marker="s", s=110, c=face, edgecolors=edge, linewidths=width, label=label
        )
    ax.plot([], [], color=colour_of("cursor"), lw=3, label="bookmark")
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.42, 0.02),
        ncols=5,
        frameon=False,
        fontsize=TICK,
        handletextpad=0.3,
        columnspacing=1.2,
    )
