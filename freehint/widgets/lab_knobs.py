"""The knobs of the bench: their labels, their fields in a scenario, and when they have effect."""

from dataclasses import replace

from freehint.config import require
from freehint.data import DEFAULT_MEMORY
from freehint.engine.guest.programs import STATES, Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.migration import GENERATIONS, MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.mm.memory import copy_memory
from freehint.mm.profile import profile_name
from freehint.policies import POLICIES
from freehint.policies.policy import Policy
from freehint.runs.begin import all_inputs, guest_memory, named_memory, prepared_memory
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, NS_PER_US
from freehint.widgets.knobs.names import changed_name
from freehint.widgets.scenario import KNOBS, OF_POLICIES

SYNTHETIC, RECORDED = "synthetic", "recorded"
DEFAULT = Scenario(duration_ns=100 * NS_PER_MS)  # Most walks end within.
OF_PARK = ("park at", "drain", "queued hints", "chunk", "restore")
PARK_AT_NS = 25 * NS_PER_MS  # Then the first walk's hints are on the ring.
MOST_READY = 4  # guests that are kept, some 20 MB each for one of 4 GiB
GIVEN = "given"  # a Memory without a name


def _in(unit: str, factor: int, *numbers) -> tuple:
    """Positions of a knob, labelled with their unit."""
    return tuple((f"{number:,g} {unit}", round(number * factor)) for number in numbers)


# Group -> label -> (field of the scenario, positions).
GROUPS = {
    "Policy": {"policy": KNOBS["policy"], **OF_POLICIES},
    "Guest": {
        "memory": ("memory", ("256MiB", "512MiB", "1GiB", ("snap4g, 4GiB", DEFAULT_MEMORY))),
        "kernel": KNOBS["kernel"],
        "load": ("workload", (SYNTHETIC, *STATES)),
        "every": ("workload.interval_ns", _in("µs", NS_PER_US, 1, 2, 5, 10, 20, 50, 100, 500)),
        "CPUs": ("workload.nr_cpus", (1, 2, 3, 4, 6, 8)),
        "size": ("workload.size_MiB", _in("MiB", 1, 8, 16, 32, 64, 100, 128, 256, 512, 1024)),
        "rate": ("workload.rate_MiBps", _in("MiB/s", 1, 5, 10, 20, 50, 100, 200, 500)),
        "seed": KNOBS["seed"],
        "run": ("duration_ns", _in("ms", NS_PER_MS, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)),
    },
    "Ring and host": {
        "ring size": KNOBS["ring size"],
        "host away": ("host.gap_ns", _in("ms", NS_PER_MS, 0, 1, 2, 3, 5, 10, 20, 50)),
        "service": ("host.service_ns", _in("µs", NS_PER_US, 0.2, 0.5, 1, 2, 5, 10, 20, 50)),
        "kick": ("host.kick_ns", _in("µs", NS_PER_US, 0, 5, 10, 20, 50, 100, 500)),
        "discard": ("host.discard", (("no", False), ("yes", True))),
        "backend": KNOBS["backend"],
        "pages": KNOBS["pages"],
    },
    "Migration": {
        "migrate": ("migration", (("no", False), ("yes", True))),
        "bandwidth": (
            "migration.bandwidth_Bps",
            _in("MB/s", 1_000_000, 25, 50, 100, 200, 500, 1000),
        ),
        "downtime": ("migration.downtime_limit_ms", _in("ms", 1, 1, 3, 10, 30, 100, 300, 1000)),
        "dirty log": ("migration.generation", GENERATIONS),
    },
    "Park": {
        "park": ("park", (("no", False), ("yes", True))),
        **{label: KNOBS[label] for label in OF_PARK},
    },
}
FIELDS = {label: field for group in GROUPS.values() for label, (field, _) in group.items()}
# Label -> field of the policy.
OF_POLICY = {label: field.removeprefix("policy.") for label, (field, _) in OF_POLICIES.items()}
# State of a Program -> the size that it uses; RATED states also use its rate.
SIZE_OF = {"freed": "fill_MiB", "frag": "frag_MiB", "cache": "cache_MiB",
           **dict.fromkeys(("dirty", "churn", "burst", "build"), "dirty_MiB")}  # fmt: skip
RATED = ("dirty", "churn", "burst", "cache", "build")


class Bench:
    """Turns a scenario into values of knobs, and back; each memory is loaded once.

    Parameters
    ----------
    scenario : Scenario
        It gives everything that no knob changes.
    policies : sequence of Policy
        Further policies to choose from.
    """

    def __init__(self, scenario: Scenario, policies=()):
        require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
        one = isinstance(scenario.policy, Policy)
        require(one, "scenario.policy", "be one policy on the bench", scenario.policy_names)
        self.base = scenario
        own = (*policies, scenario.policy)
        self.policies = POLICIES | {one.name: one for one in own if not _turned(one)}
        self._memories, self._ready = {}, {}

    def memory(self, name):
        """The memory with a name."""
        return self._loaded(name)[0]

    def _loaded(self, name) -> tuple:
        """A memory by its name, and a tuple of the Inputs that it was loaded from."""
        if name not in self._memories:
            given = self.base.memory if name == GIVEN else name
            self._memories[name] = named_memory(given)
        return self._memories[name]

    def values(self) -> dict:
        """The first values of the knobs, {label: value}."""
        base = self.base
        name = base.memory if isinstance(base.memory, str) else GIVEN
        migration = base.migration or MigrationConfig(bandwidth_Bps=100_000_000)
        park = base.park or ParkConfig(at_ns=PARK_AT_NS)
        synthetic = base.workload if isinstance(base.workload, Workload) else Workload()
        program = base.workload if isinstance(base.workload, Program) else None
        state = program.state if program else RECORDED
        return {
            "policy": base.policy.name,
            **self.policy_values(base.policy),
            "memory": name,
            "kernel": base.kernel or profile_name(self.memory(name).profile),
            "load": SYNTHETIC if base.workload is synthetic else state,
            "every": synthetic.interval_ns,
            "CPUs": synthetic.nr_cpus,
            "size": getattr(program, SIZE_OF.get(state, ""), 0) or 64,
            "rate": getattr(program, "rate_MiBps", 0) or 20,
            "seed": base.seed,
            "run": base.duration_ns,
            "ring size": base.ring.size,
            "host away": base.host.gap_ns,
            "service": base.host.service_ns,
            "kick": base.host.kick_ns,
            "migrate": base.migration is not None,
            "bandwidth": migration.bandwidth_Bps,
            "downtime": migration.downtime_limit_ms,
            "dirty log": migration.generation,
            "discard": base.host.discard,
            "backend": base.host.backend,
            "pages": base.host.pages,
            "park": base.park is not None,
            "park at": park.at_ns,
            "drain": park.drain_ns,
            "queued hints": park.late_hints,
            "chunk": park.chunk_KiB,
            "restore": park.restore,
        }

    def policy_values(self, policy: Policy) -> dict:
        """The values of the policies' knobs for one policy, {label: value}.

        If it lacks a knob, the value is that of the first policy that has it.
        """
        every = (policy, *self.policies.values())
        return {
            label: next(getattr(one, name) for one in every if hasattr(one, name))
            for label, name in OF_POLICY.items()
        }

    def applies(self, values: dict) -> set:
        """Labels of the knobs that have an effect with these values."""
        labels = set(FIELDS) - set(OF_POLICY) | self._of_policy(values)
        load = values["load"]
        if load != SYNTHETIC:
            labels -= {"every", "CPUs"}
        if load not in SIZE_OF:
            labels -= {"size"}
        if load not in RATED:
            labels -= {"rate"}
        if load == RECORDED:
            labels -= {"memory"}
        if not values["migrate"]:
            labels -= set(GROUPS["Migration"]) - {"migrate"}
        if not values["park"]:
            labels -= set(GROUPS["Park"]) - {"park"}
        if values["migrate"]:
            labels -= set(GROUPS["Park"])  # one or the other
        if not values["discard"]:
            labels -= {"backend", "pages"}
        return labels

    def _of_policy(self, values: dict) -> set:
        policy = self.policies[values["policy"]]
        count = policy.knobs_that_count({name: values[label] for label, name in OF_POLICY.items()})
        return {label for label, name in OF_POLICY.items() if name in count}

    def scenario(self, values: dict) -> Scenario:
        """The scenario that the knobs describe, with its memory by name.

        Raises
        ------
        InputError
            The knobs contradict each other.
        """
        given = values["memory"] == GIVEN or values["load"] == RECORDED
        kernel = values["kernel"]
        if kernel == profile_name(self.memory(values["memory"]).profile):
            kernel = None
        changes = {
            "policy": self._policy(values),
            "memory": self.base.memory if given else values["memory"],
            "workload": self._workload(values),
            "migration": self._migration(values),
            "park": self._park(values),
            "kernel": kernel,
            **{FIELDS[label]: values[label] for label in ("seed", "run", *GROUPS["Ring and host"])},
        }
        return self.base.with_values(changes)

    def guest(self, values: dict) -> tuple:
        """What is simulated for the knobs.

        Returns
        -------
        (Scenario, (Memory, tuple of Input))
            The scenario, whose policy is called by what was changed in it; a guest of its own.
        """
        scenario = self.scenario(values)
        name = changed_name(scenario.policy, self.policies[values["policy"]])
        named = scenario.with_values({"policy": replace(scenario.policy, name=name)})
        if values["load"] == RECORDED:
            return named, guest_memory(named)
        memory, inputs = self._prepared(values["memory"], scenario)
        return named, (copy_memory(memory), all_inputs(inputs, scenario.workload.inputs))

    def _prepared(self, name, scenario: Scenario) -> tuple:
        """A memory with a scenario's kernel and CPUs, made once for the many turns of a knob."""
        key = (name, scenario.kernel, scenario.workload.nr_cpus)
        if key not in self._ready:
            memory, inputs = self._loaded(name)
            while len(self._ready) >= MOST_READY:
                del self._ready[next(iter(self._ready))]
            self._ready[key] = prepared_memory(memory, *key[1:])[0], inputs
        return self._ready[key]

    def _policy(self, values: dict) -> Policy:
        policy = self.policies[values["policy"]]
        wanted = {OF_POLICY[label]: values[label] for label in self._of_policy(values)}
        return replace(policy, **wanted) if wanted else policy

    def _workload(self, values: dict):
        load, base = values["load"], self.base.workload
        if load == RECORDED:
            good = isinstance(base, RecordedGuest)
            require(good, "load", "be another: this side began without a recorded guest", load)
            return base
        if load == SYNTHETIC:
            own = base if isinstance(base, Workload) else Workload()
            return replace(own, interval_ns=values["every"], nr_cpus=values["CPUs"])
        changes = {"state": load}
        if load in SIZE_OF:
            changes[SIZE_OF[load]] = values["size"]
        if load in RATED:
            changes["rate_MiBps"] = values["rate"]
        return replace(base if isinstance(base, Program) else Program(), **changes)

    def _migration(self, values: dict):
        if not values["migrate"]:
            return None
        return replace(
            self.base.migration or MigrationConfig(),
            bandwidth_Bps=values["bandwidth"],
            downtime_limit_ms=values["downtime"],
            generation=values["dirty log"],
        )

    def _park(self, values: dict):
        if values["migrate"] or not values["park"]:
            return None
        return replace(
            self.base.park or ParkConfig(),
            at_ns=values["park at"],
            drain_ns=values["drain"],
            late_hints=values["queued hints"],
            chunk_KiB=values["chunk"],
            restore=values["restore"],
        )


def _turned(policy: Policy) -> bool:
    """Is it one of freehint's policies, but for its knobs?"""
    preset = POLICIES.get(policy.name)
    if type(preset) is not type(policy):
        return False
    knobs = {knob.name: getattr(preset, knob.name) for knob in preset.knobs}
    return replace(policy, **knobs) == preset
