"""The thread's eight blocks, with its knobs."""

from freehint import figures
from freehint.palette import GREY
from freehint.policies.walker import RESUME, ROTATE
from freehint.story import CONSUMED, thread_story
from freehint.widgets.panel import KnobPanel, choice

ROWS_SHOWN = 8


class ThreadExample(KnobPanel):
    """A, B, .. H on one list, reported a few at a time; turn the knobs and watch the list."""

    def __init__(self, rotate="on_exit", resume="scan_for_first", consumed="nothing"):
        knobs = {
            "rotate": choice("rotate", ROTATE, rotate),
            "resume": choice("resume", RESUME, resume),
            "consumed": choice("consumed", CONSUMED, consumed),
            "capacity": choice("blocks a stroke", range(1, 9), 2),
        }
        super().__init__(knobs, draw_story)


def draw_story(**knobs):
    """The story as a figure of constant size, so that nothing jumps while a knob moves."""
    told = thread_story(**knobs)
    steps = told.steps[:ROWS_SHOWN]
    figure, ax = figures.quick_figure(11, 5.6, left=0.02, right=0.98, top=0.93, bottom=0.09)
    figures.story(type(told)(steps, told.finished), ax)
    ax.set_title(told.sentence, loc="left", fontsize=12)
    ax.set_ylim(-ROWS_SHOWN + 0.4, 0.95)
    if len(told.steps) > ROWS_SHOWN:
        ax.text(-0.3, -ROWS_SHOWN + 0.45, "… and so on", ha="right", color=GREY)
    figures.story_legend(ax)
    return figure
