"""Small widgets of the notebooks: the thread's eight blocks, 32 pages, a real guest."""

from freehint import figures
from freehint.figures.drawing.palette import GREY
from freehint.policies.walker import RESUME, ROTATE
from freehint.runs.scenario import Scenario
from freehint.studies.blocks import FREED, PLACED, block_story
from freehint.studies.thread import CONSUMED, thread_story
from freehint.widgets.knobs.facts import facts_of
from freehint.widgets.knobs.knob import Knob
from freehint.widgets.panel import KnobPanel
from freehint.widgets.scenario import ScenarioKnobs

KNOBS = ("rotate", "resume", "lock", "order", "min_order", "batch", "full ring", "ring size",
         "host away (ms)", "kernel")  # fmt: skip


class GuestKnobs(ScenarioKnobs):
    """Knobs of a scenario's policy, ring, host and kernel; the policy begins as v24.

    Parameters
    ----------
    scenario : Scenario, optional
        It gives the first values of the other knobs, and everything that no knob changes.
    """

    def __init__(self, scenario: Scenario | None = None):
        scenario = (scenario or Scenario()).with_values({"policy": "v24"})
        super().__init__(scenario, KNOBS, panels=("walk", "lock", "lists", "balance"))


ROWS_SHOWN = 8


class ThreadExample(KnobPanel):
    """The thread's example with knobs: A, B, .. H on one list, reported a few at a time."""

    def __init__(self, rotate="on_exit", resume="scan_for_first", consumed="nothing"):
        knobs = {
            "rotate": Knob("rotate", ROTATE, rotate, help=facts_of("policy.rotate").explanation),
            "resume": Knob("resume", RESUME, resume, help=facts_of("policy.resume").explanation),
            "consumed": Knob(
                "consumed", CONSUMED, consumed, help="Blocks allocated by the guest meanwhile."
            ),
            "capacity": Knob(
                "blocks per stroke", range(1, 9), 2, help=facts_of("policy.capacity").explanation
            ),
        }
        super().__init__(knobs, draw_story)


def draw_story(**knobs):
    """Draw the story as a figure of constant size, so that nothing jumps when a knob is turned."""
    told = thread_story(**knobs)
    steps = told.steps[:ROWS_SHOWN]
    figure, ax = figures.quick_figure(11, 5.6, left=0.02, right=0.98, top=0.93, bottom=0.09)
    figures.story(type(told)(steps, told.finished), ax)
    ax.set_title(told.sentence, loc="left", fontsize=12)
    ax.set_ylim(-ROWS_SHOWN + 0.1, 0.95)
    if len(told.steps) > ROWS_SHOWN:
        ax.text(-0.3, -ROWS_SHOWN + 0.5, "… and so on", ha="right", va="center", color=GREY)
    figures.story_legend(ax)
    return figure


class BlockKnobs(KnobPanel):
    """Knobs for allocations and frees of 32 pages: blocks split and merge on the free lists."""

    def __init__(self, allocations=5, frees=0):
        knobs = {
            "allocations": Knob(
                "allocations", range(33), allocations, help="How many blocks are allocated."
            ),
            "frees": Knob("frees", range(33), frees, help="How many of them are freed again."),
            "order": Knob("order", range(4), 0, help="A block has 2^order pages."),
            "freed": Knob("freed", FREED, FREED[0], help="Which blocks are freed first."),
            "placed": Knob(
                "freed blocks go",
                tuple(PLACED),
                next(iter(PLACED)),
                help="The end of its list to which a freed block goes.",
            ),
        }
        super().__init__(knobs, draw_blocks)


def draw_blocks(**knobs):
    """Draw the lists as a figure of constant size."""
    figure, ax = figures.quick_figure(12, 4.6, left=0.01, right=0.99, top=0.9, bottom=0.02)
    figures.block_lists(block_story(**knobs), ax)
    return figure
