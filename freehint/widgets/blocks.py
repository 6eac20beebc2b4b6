"""32 pages of memory and their free lists, with knobs."""

from freehint import answers, figures
from freehint.blocks import FREED, PLACED, block_story
from freehint.widgets.panel import KnobPanel, choice


class BlockKnobs(KnobPanel):
    """Allocate and free; watch blocks split and merge, and see what is taken next."""

    def __init__(self, allocations=5, frees=0):
        knobs = {
            "allocations": choice("allocations", range(33), allocations),
            "frees": choice("frees", range(33), frees),
            "order": choice("order", range(4), 0),
            "freed": choice("freed", FREED, FREED[0]),
            "placed": choice("freed blocks go", tuple(PLACED), next(iter(PLACED))),
        }
        super().__init__(knobs, draw_blocks)


def draw_blocks(**knobs):
    """The lists as a figure of constant size."""
    figure, ax = figures.quick_figure(12, 4.6, left=0.01, right=0.99, top=0.9, bottom=0.02)
    answers.block_lists(block_story(**knobs), ax)
    return figure
