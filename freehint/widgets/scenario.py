"""A panel with any fields of a scenario as knobs, and any figures of the run below them."""

from dataclasses import replace
from operator import attrgetter

import ipywidgets as widgets

from freehint.config import InputError, require
from freehint.engine.host.park import LATE_HINTS, RESTORE
from freehint.engine.world.backing import BACKENDS, PAGES
from freehint.mm.profile import PROFILES, profile_name
from freehint.policies import POLICIES
from freehint.policies.policy import CAPACITY, FULL_RING, Policy
from freehint.runs.begin import guest_memory
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import NS_PER_MS
from freehint.widgets.knobs.bar import Actions
from freehint.widgets.knobs.knob import knob_of
from freehint.widgets.knobs.names import changed_name
from freehint.widgets.knobs.seeds import Spread, seed_rows
from freehint.widgets.knobs.share import read_setting
from freehint.widgets.lab_table import spread_table
from freehint.widgets.later import InSlices
from freehint.widgets.panel import KnobPanel
from freehint.widgets.run_figures import draw_run

MS = tuple((str(ms), ms * NS_PER_MS) for ms in (0, 1, 2, 3, 5, 10, 20, 50))
# These times count from the first start of a walk, 20 ms into the run.
STOPS = tuple((f"{us:,}", 20 * NS_PER_MS + us * 1000) for us in
              (60, 100, 150, 200, 300, 400, 600, 1000, 3000, 10_000))  # fmt: skip
BANDWIDTHS = tuple((f"{mb:,}", mb * 1_000_000) for mb in (25, 50, 100, 200, 500, 1000))
PIECES = tuple((f"{4 << k:,}", 1 << k) for k in range(0, 13, 2))
PARKS, DRAINS = (
    tuple((f"{ms:,} ms", ms * NS_PER_MS) for ms in positions)
    for positions in (
        (10, 20, 25, 30, 50, 100, 200, 500, 1000, 2000, 5000, 10_000),
        (0, 1, 2, 5, 10, 20, 50, 100, 500),
    )
)
CHUNKS = tuple((f"{kib} KiB" if kib < 1024 else f"{kib // 1024} MiB", kib) for kib in
               (4, 16, 64, 256, 1024, 2048, 4096))  # fmt: skip
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
    "backend": ("host.backend", BACKENDS),
    "pages": ("host.pages", PAGES),
    "park at": ("park.at_ns", PARKS),
    "drain": ("park.drain_ns", DRAINS),
    "chunk": ("park.chunk_KiB", CHUNKS),
    "restore": ("park.restore", RESTORE),
    "queued hints": ("park.late_hints", LATE_HINTS),
    "MB/s": ("migration.bandwidth_Bps", BANDWIDTHS),
    "kernel": ("kernel", tuple(PROFILES)),
    "seed": ("seed", tuple(range(1, 11))),
}


class ScenarioKnobs(KnobPanel):
    """Knobs of a scenario; each turn simulates it again.  It can be shared, and run with 5 seeds.

    Parameters
    ----------
    scenario : Scenario
        It gives the first values of the knobs, and everything that no knob changes.  Its memory
        is loaded once.
    knobs : sequence of str
        Names in ``scenario.KNOBS``.
    panels : sequence of str
        One, two or four names in ``run_figures.PANELS``.
    """

    def __init__(self, scenario: Scenario, knobs, panels=("walk", "lock")):
        self._take(scenario)
        self.panels = tuple(panels)
        self.run = self.spread = None
        self._slices, self._table = InSlices(), widgets.HTML()
        self._actions = Actions(self.undo, self.reset, self.run_seeds, self.open_setting)
        super().__init__({name: self._knob(name) for name in knobs}, self._simulate)
        self.children = (*self.children[:-1], self._table, self.children[-1])

    def _take(self, scenario: Scenario) -> None:
        memory, _ = guest_memory(scenario.with_values({"kernel": None}))
        self._own_kernel = profile_name(memory.profile)
        self._given = scenario
        kernel = scenario.kernel or self._own_kernel
        self.base = scenario.with_values({"memory": memory, "kernel": kernel})
        self._preset = POLICIES.get(self.base.policy.name, self.base.policy)

    def _more_buttons(self) -> tuple:
        return self._actions.seeds, self._actions.share

    def _value(self, field: str):
        value = attrgetter(field)(self.base)
        return value.name if field == "policy" else value

    def _knob(self, name):
        field, options = KNOBS[name]
        value = self._value(field)
        return knob_of(field, name, options, value)

    def scenario(self, **values) -> Scenario:
        """The scenario that the knobs describe."""
        return self.base.with_values({KNOBS[name][0]: value for name, value in values.items()})

    @property
    def shared(self) -> Scenario:
        """The scenario of the knobs with its memory by name, as it is shared."""
        scenario = self.scenario(**self.values())
        kernel = None if scenario.kernel == self._own_kernel else scenario.kernel
        return scenario.with_values({"memory": self._given.memory, "kernel": kernel})

    def _named(self, scenario: Scenario) -> Scenario:
        """The scenario with a policy that is called by what was changed in it."""
        name = changed_name(scenario.policy, self._preset_of(scenario.policy))
        return scenario.with_values({"policy": replace(scenario.policy, name=name)})

    def _preset_of(self, policy: Policy) -> Policy:
        return POLICIES.get(policy.name, self._preset)

    def _mark_defaults(self, policy: Policy) -> None:
        """Mark the chosen policy's own values as the defaults of its knobs."""
        preset = self._preset_of(policy)
        for label, knob in self.knobs.items():
            part, _, name = KNOBS[label][0].rpartition(".")
            if part == "policy" and hasattr(preset, name):
                knob.default = knob.position(getattr(preset, name))

    def _simulate(self, **values):
        scenario = self.scenario(**values)
        self._mark_defaults(scenario.policy)
        self.run, self.spread, self._table.value = simulate(self._named(scenario)), None, ""
        self._slices.stop()
        self._actions.share.show({"A": self.shared})
        return draw_run(self.run, self.panels, self.base.duration_ns)

    def open_setting(self, file_or_text) -> None:
        """Open a setting that a share button made; if it is refused, all stays as it is."""
        before = self._given
        try:
            scenario = read_setting(file_or_text)["A"]
            require(isinstance(scenario.policy, Policy), "policy", "be one", scenario.policy_names)
            self._take(scenario)
            values = {name: self._value(KNOBS[name][0]) for name in self.knobs}
            self.scenario(**values)
        except InputError as error:
            self._take(before)
            self.say(str(error))
            return
        self._history.clear()  # its steps belong to the scenario before
        self._restore(values)

    def run_seeds(self) -> None:
        """Run the scenario with several seeds, and tell how far its numbers spread."""
        self._soon.forget()
        self.redraw()  # a turn may wait to be drawn
        self._slices.begin(self._seeds())

    def _seeds(self):
        scenario = self._named(self.scenario(**self.values()))
        guests = {"A": lambda: (scenario, guest_memory(scenario))}
        for rows in seed_rows(guests, scenario.seed):
            self._table.value = f"<div class='fh-diff-note'>{len(rows)} runs ..</div>"
            yield
        self.spread = Spread(rows)
        self._table.value = spread_table(self.spread)
