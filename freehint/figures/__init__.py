"""Figures: each is a function (table or memory, axes) -> axes, with units, a caption and a source.

Each figure's file is named for the table that it shows.  ``FIGURES`` has all figures by name, and
each is an attribute of this package; :func:`export` writes one for a paper.

All colours come from :mod:`freehint.figures.drawing.palette` and always mean the same thing.
"""

from freehint.figures.compile import compile_figure
from freehint.figures.costs import tornado, verdicts_under_costs, zeroed_shares
from freehint.figures.drawing.paper import export
from freehint.figures.drawing.registry import FIGURES, figure
from freehint.figures.drawing.style import Picture, every, new_figure, quick_figure, theme
from freehint.figures.hints import (
    balance,
    compare_policies,
    hint_balance,
    hints_over_time,
    reuse_by_volume,
    told_over_time,
)
from freehint.figures.lists import (
    block_lists,
    blocks_by_order,
    free_by_order,
    reused_shares,
    two_memories,
)
from freehint.figures.locks import (
    blocks_in_a_hold,
    holds_by_order,
    lock_timeline,
    longer_than,
    walk_map,
)
from freehint.figures.memory import (
    fragmentation_over_time,
    free_lines,
    free_over_time,
    pcp_over_time,
    resident_over_time,
)
from freehint.figures.migration import (
    dirty_at_each_sync,
    pages_by_fate,
    resident_beside,
    rounds_over_time,
    rounds_side_by_side,
    sent_by_round,
)
from freehint.figures.parking import (
    given_back,
    resident_lines,
    stranded_by_cause,
    time_to_resume,
)
from freehint.figures.pressure import (
    balloon_course,
    free_under_pressure,
    memory_that_can_leave,
)
from freehint.figures.published import published_beside
from freehint.figures.safety import explored_cells
from freehint.figures.savings import (
    bytes_and_times,
    effect,
    effects,
    measures,
    per_policy,
    predicted_beside_measured,
)
from freehint.figures.shared_host import (
    guests_resident,
    residents,
    slowdown_by_guests,
    swap_traffic,
    time_lost,
)
from freehint.figures.speed import beside_others, cost_growth, load_by_working_set
from freehint.figures.sweeps import interactions, main_effects, share_map, survival_by_reach
from freehint.figures.thread import story, story_legend
from freehint.figures.verdicts import decision_chart, verdict_intervals

__all__ = [
    "FIGURES",
    "Picture",
    "balance",
    "balloon_course",
    "beside_others",
    "block_lists",
    "blocks_by_order",
    "blocks_in_a_hold",
    "bytes_and_times",
    "compare_policies",
    "compile_figure",
    "cost_growth",
    "decision_chart",
    "dirty_at_each_sync",
    "effect",
    "effects",
    "every",
    "explored_cells",
    "export",
    "figure",
    "fragmentation_over_time",
    "free_by_order",
    "free_lines",
    "free_over_time",
    "free_under_pressure",
    "given_back",
    "guests_resident",
    "hint_balance",
    "hints_over_time",
    "holds_by_order",
    "interactions",
    "load_by_working_set",
    "lock_timeline",
    "longer_than",
    "main_effects",
    "measures",
    "memory_that_can_leave",
    "new_figure",
    "pages_by_fate",
    "pcp_over_time",
    "per_policy",
    "predicted_beside_measured",
    "published_beside",
    "quick_figure",
    "resident_beside",
    "resident_lines",
    "resident_over_time",
    "residents",
    "reuse_by_volume",
    "reused_shares",
    "rounds_over_time",
    "rounds_side_by_side",
    "sent_by_round",
    "share_map",
    "slowdown_by_guests",
    "story",
    "story_legend",
    "stranded_by_cause",
    "survival_by_reach",
    "swap_traffic",
    "theme",
    "time_lost",
    "time_to_resume",
    "told_over_time",
    "tornado",
    "two_memories",
    "verdict_intervals",
    "verdicts_under_costs",
    "walk_map",
    "zeroed_shares",
]
