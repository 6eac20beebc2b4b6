"""A panel with any fields of a scenario as knobs, and any figures of the run below them."""

from operator import attrgetter

from freehint import figures
from freehint.mm.profile import PROFILES, profile_name
from freehint.policies import POLICIES
from freehint.policies.policy import CAPACITY, FULL_RING
from freehint.runs.begin import guest_memory
from freehint.runs.run import readable, summaries
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import MIB, NS_PER_MS
from freehint.widgets.knobs.knob import knob_of
from freehint.widgets.panel import KnobPanel

MS = tuple((str(ms), ms * NS_PER_MS) for ms in (0, 1, 2, 3, 5, 10, 20, 50))
# These times count from the first start of a walk, 20 ms into the run.
STOPS = tuple((f"{us:,}", 20 * NS_PER_MS + us * 1000) for us in
              (60, 100, 150, 200, 300, 400, 600, 1000, 3000, 10_000))  # fmt: skip
BANDWIDTHS = tuple((f"{mb:,}", mb * 1_000_000) for mb in (25, 50, 100, 200, 500, 1000))
PIECES = tuple((f"{4 << k:,}", 1 << k) for k in range(0, 13, 2))
DONES = tuple((str(ms), (20 + ms) * NS_PER_MS) for ms in (10, 20, 50, 80, 100, 150))

# Labels of those knobs of policies whose label is not the name of the field.
LABELS = {CAPACITY.name: "batch", FULL_RING.name: "full ring"}
# Label -> (field of the scenario, positions), for all knobs of the policies.
OF_POLICIES = {
    LABELS.get(knob.name, knob.name): (f"policy.{knob.name}", knob.positions)
    for policy in POLICIES.values()
    for knob in policy.knobs
}
# Label -> (field of the scenario, positions), for all knobs.
KNOBS = {
    "policy": ("policy", tuple(POLICIES)),
    **OF_POLICIES,
    "ring size": ("ring.size", tuple(1 << k for k in range(2, 13))),
    "host away (ms)": ("host.gap_ns", MS),
    "stop after (µs)": ("control.stop_at_ns", (*STOPS, ("never", -1))),
    "DONE after (ms)": ("control.done_at_ns", (*DONES, ("never", -1))),
    "load": ("workload.state", ("idle", "freed", "frag")),
    "piece (KiB)": ("workload.frag_chunk", PIECES),
    "MB/s": ("migration.bandwidth_Bps", BANDWIDTHS),
    "kernel": ("kernel", ()),
    "seed": ("seed", tuple(range(1, 11))),
}
KERNELS = ("6.1", "6.12")  # Recordings prove the rules of these; a guest's own is offered too.


class ScenarioKnobs(KnobPanel):
    """Knobs of a scenario; each turn simulates it again.

    Parameters
    ----------
    scenario : Scenario
        It gives the first values of the knobs, and everything that no knob changes.  Its memory
        is loaded once.
    knobs : sequence of str
        Names in ``scenario.KNOBS``.
    panels : sequence of str
        One, two or four names in ``scenario.PANELS``.
    """

    def __init__(self, scenario: Scenario, knobs, panels=("walk", "lock")):
        memory, _ = guest_memory(scenario.with_values({"kernel": None}))
        kernel = scenario.kernel or profile_name(memory.profile)
        own = (profile_name(memory.profile), kernel, *KERNELS)
        self.kernels = [name for name in PROFILES if name in own]
        self.base = scenario.with_values({"memory": memory, "kernel": kernel})
        self.panels = tuple(panels)
        self.run = None
        super().__init__({name: self._knob(name) for name in knobs}, self._simulate)

    def _knob(self, name):
        field, options = KNOBS[name]
        value = attrgetter(field)(self.base)
        if field == "policy":
            value = value.name
        return knob_of(field, name, options or self.kernels, value)

    def scenario(self, **values) -> Scenario:
        """The scenario that the knobs describe."""
        return self.base.with_values({KNOBS[name][0]: value for name, value in values.items()})

    def _simulate(self, **values):
        self.run = simulate(self.scenario(**values))
        return draw_run(self.run, self.panels, self.base.duration_ns)


def headline(run) -> str:
    """The main numbers of a run in one line."""
    if "sent_bytes" in run.summary:
        return _migration_headline(run.summary)
    facts = readable(run.summary)
    names = ("coverage", "survival", "walk took", "lock held max", "allocation wait max")
    return "     ".join(f"{name}: {facts[name]}" for name in names)


def _migration_headline(summary) -> str:
    if summary["total_ns"] < 0:
        return f"migration: {summary['migration']}"
    sent, took = summary["sent_bytes"] / 1e6, summary["total_ns"] / 1e9
    moved = summary["migrated_pages"]
    return f"sent: {sent:,.0f} MB     took: {took:.1f} s     pages moved by compaction: {moved:,}"


def draw_run(run, panels, span_ns: int):
    """Draw a run as one figure of named panels."""
    rows = (len(panels) + 1) // 2
    figure, axes = figures.quick_figure(
        13, 3.6 * rows, rows, min(2, len(panels)), left=0.06, right=0.985,
        top=1 - 0.39 / rows / 1.8, bottom=0.16 / rows, hspace=0.36, wspace=0.16,
    )  # fmt: skip
    for name, ax in zip(panels, figures.every(axes), strict=True):
        title, draw = PANELS[name]
        draw(run, ax, span_ns)
        if title:
            ax.set_title(title, loc="left", fontsize=10)
    figure.suptitle(headline(run), x=0.06, ha="left", fontsize=11)
    return figure


def _lists(run, ax, _span_ns):
    figures.free_by_order(run.memory, ax)
    on_pcp = run.memory.pcp["count"].sum() * MIB
    ax.set_title(
        f"the free lists at the end, and {on_pcp:.0f} MiB on pcp lists", loc="left", fontsize=10
    )


def _walk(run, ax, span_ns):
    figures.walk_map(run.reports, ax, span_ns)


def _lock(run, ax, span_ns):
    figures.lock_timeline(run.locks, run.waits, ax, span_ns)


def _balance(run, ax, _span_ns):
    figures.hint_balance(summaries([run]), ax)


def _hints(run, ax, _span_ns):
    figures.hints_over_time(run.reports, ax)


def _fate(run, ax, _span_ns):
    figures.pages_by_fate(summaries([run]).set_axis([""]), ax)


def _dirty(run, ax, _span_ns):
    figures.dirty_at_each_sync({run.summary["policy"]: run.rounds}, ax)


def _orders(run, ax, _span_ns):
    figures.blocks_by_order(run.reports, ax)


def _longer(run, ax, _span_ns):
    figures.longer_than(
        {
            "a stroke held the lock": run.locks["held_ns"],
            "an operation waited": run.waits["wait_ns"],
        },
        ax,
    )


PANELS = {
    "walk": ("where the walk went", _walk),
    "lock": ("the zone lock", _lock),
    "lists": ("", _lists),
    "balance": ("", _balance),
    "hints": ("memory reported to the host", _hints),
    "fate": ("", _fate),
    "dirty": ("pages newly dirty at each sync", _dirty),
    "orders": ("blocks offered to the ring", _orders),
    "longer": ("how many events lasted longer", _longer),
}
