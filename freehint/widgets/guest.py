"""The same knobs on a real guest: lists, lock and hints, redrawn as a knob moves."""

from freehint import figures
from freehint.mm.profile import PROFILES, profile_name
from freehint.policies.walker import LOCK, ORDER, RESUME, ROTATE, Walker
from freehint.policy import ON_FULL
from freehint.run import readable, summaries
from freehint.simulate import Scenario, guest_memory, simulate
from freehint.units import NS_PER_MS
from freehint.widgets.panel import KnobPanel, choice

POWERS = tuple(1 << k for k in range(2, 13))
KERNELS = ("6.1", "6.12")  # those whose rules recordings prove; a guest's own is there too


class GuestKnobs(KnobPanel):
    """Policy, ring, host and kernel knobs of a scenario.

    Parameters
    ----------
    scenario : Scenario, optional
        Where the knobs begin, and everything that no knob changes.  Its memory is loaded once.
    """

    def __init__(self, scenario: Scenario | None = None):
        scenario = scenario or Scenario()
        memory, _ = guest_memory(scenario.with_values({"kernel": None}))
        self.base = scenario.with_values({"memory": memory})
        self.run = None
        own = profile_name(memory.profile)
        kernel = scenario.kernel or own
        kernels = [name for name in PROFILES if name in (own, kernel, *KERNELS)]
        knobs = {
            "rotate": choice("rotate", ROTATE, "never"),
            "resume": choice("resume", RESUME, "restart"),
            "lock": choice("lock", LOCK, "per_list"),
            "order": choice("order", ORDER, "high_first"),
            "min_order": choice("min_order", range(11), 0),
            "capacity": choice("batch", POWERS, 32),
            "on_full": choice("full ring", ON_FULL, "lose"),
            "ring": choice("ring size", POWERS, scenario.ring.size),
            "gap": choice("host away (ms)", (0, 1, 2, 3, 5, 10, 20, 50), 3),
            "kernel": choice("kernel", kernels, kernel),
        }
        super().__init__(knobs, self._simulate, columns=2)

    def scenario(self, ring, gap, kernel, **walker) -> Scenario:
        """The scenario that the knobs describe."""
        return self.base.with_values(
            {
                "kernel": kernel,
                "policy": Walker("walker", **walker),
                "ring.size": ring,
                "host.gap_ns": gap * NS_PER_MS,
            }
        )

    def _simulate(self, **values):
        self.run = simulate(self.scenario(**values))
        return draw_run(self.run, self.base.duration_ns)


def headline(run) -> str:
    """The run in a line."""
    facts = readable(run.summary)
    names = ("coverage", "survival", "walk took", "lock held max", "allocation wait max")
    return "     ".join(f"{name}: {facts[name]}" for name in names)


def draw_run(run, span_ns: int):
    """A run as one figure: the walk, the lock, the lists at the end, the balance of hints."""
    figure, axes = figures.quick_figure(
        13, 7, 2, 2, left=0.06, right=0.985, top=0.89, bottom=0.08, hspace=0.36, wspace=0.16
    )
    figures.walk_map(run.reports, axes[0, 0], span_ns)
    figures.lock_timeline(run.locks, run.waits, axes[0, 1], span_ns)
    figures.free_by_order(run.memory, axes[1, 0])
    figures.hint_balance(summaries([run]), axes[1, 1])
    figure.suptitle(headline(run), x=0.06, ha="left", fontsize=11)
    axes[0, 0].set_title("where the walk went", loc="left", fontsize=10)
    axes[0, 1].set_title("the zone lock", loc="left", fontsize=10)
    on_pcp = run.memory.pcp["count"].sum() * figures.MIB
    lists = f"the free lists at the end, and {on_pcp:.0f} MiB on pcp lists"
    axes[1, 0].set_title(lists, loc="left", fontsize=10)
    return figure
