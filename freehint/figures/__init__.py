"""Figures: each a function (table or memory, axes) -> axes, with units, a caption and a source.

``FIGURES`` has them all by name, also those of :mod:`freehint.answers`,
:mod:`freehint.migration_figures`, :mod:`freehint.overcommit_figures`,
:mod:`freehint.compile_figures` and :mod:`freehint.speed_figures`; :func:`export` writes one for a
paper.

Colours are those of :mod:`freehint.palette` and always mean the same thing.
"""

# They enter their figures in FIGURES.
import freehint.answers
import freehint.compile_figures
import freehint.migration_figures
import freehint.overcommit_figures
import freehint.speed_figures  # noqa: F401
from freehint.figures.effects import interactions, main_effects
from freehint.figures.hints import balance, compare_policies, hint_balance
from freehint.figures.lists import free_by_order, two_memories
from freehint.figures.memory import fragmentation_over_time, free_over_time, pcp_over_time
from freehint.figures.paper import export
from freehint.figures.registry import FIGURES, figure
from freehint.figures.style import MIB, Picture, every, new_figure, quick_figure, theme
from freehint.figures.thread import story, story_legend
from freehint.figures.walk import lock_timeline, walk_map

__all__ = [
    "FIGURES",
    "MIB",
    "Picture",
    "balance",
    "compare_policies",
    "every",
    "export",
    "figure",
    "fragmentation_over_time",
    "free_by_order",
    "free_over_time",
    "hint_balance",
    "interactions",
    "lock_timeline",
    "main_effects",
    "new_figure",
    "pcp_over_time",
    "quick_figure",
    "story",
    "story_legend",
    "theme",
    "two_memories",
    "walk_map",
]
