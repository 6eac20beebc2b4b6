"""One scenario, one dict: of provenance, of TOML, of Python code, of a sweep's labels."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import freehint as fh
from freehint.data import DEFAULT_MEMORY
from freehint.engine.guest.programs import STATES
from freehint.policies.policy import ON_FULL
from freehint.runs.scenario_dict import KINDS, changes, scenario_of, told
from freehint.runs.scenario_file import read_scenario, scenario_toml
from freehint.sweeps.factors import label
from freehint.widgets import scenario_code
from memories import SETTINGS, examples
from own_policy import QUIET

TRACE = "linux-6.1/traces/idle20"
names = st.text('abcdefghijklmnop_é"\\ ', min_size=1, max_size=8)
times = st.integers(0, 1 << 40)
never = st.integers(-1, 1 << 40)
truths = st.booleans()
shares = st.floats(0, 1)
weights = st.lists(st.floats(0.01, 9) | st.integers(1, 9), min_size=1, max_size=3).map(tuple)


def parts(kind, **values):
    """Parts of a kind; some fields are drawn, the others keep their defaults."""
    return st.fixed_dictionaries({}, optional=values).map(lambda drawn: kind(**drawn))


walkers = st.builds(
    fh.policies.Walker,
    name=names | st.sampled_from([*fh.POLICIES]),
    capacity=st.integers(1, 99),
    min_order=st.integers(0, 10),
    on_full=st.sampled_from(ON_FULL),
    rotate=st.sampled_from(("never", "each_report", "on_exit")),
    zeroes=truths,
)
others = st.sampled_from(("five_step", "balloon_alloc", "page_reporting")).flatmap(
    lambda name: st.builds(
        lambda new, pause: replace(fh.POLICIES[name], name=new, pause_ns=pause),
        st.just(name) | names,
        times,
    )
)
lazy = parts(fh.policies.PageReporting, delay_ns=st.integers(1, 1 << 40), name=names)
policies = st.sampled_from([*fh.POLICIES]) | walkers | others | lazy
several = st.lists(walkers | st.sampled_from(["none", "v24", "five_step"]), min_size=1, max_size=3)
workloads = st.one_of(
    parts(
        fh.Workload,
        nr_cpus=st.integers(1, 24),
        live_share=shares,
        order_weights=weights,
        type_weights=weights,
    ),
    st.builds(
        fh.Program,
        state=st.sampled_from(STATES),
        fill_MiB=st.integers(0, 99),
        dirty_MiB=st.integers(1, 99),
        rate_MiBps=st.floats(0.1, 1e6),
        huge_pages=truths,
    ),
    st.builds(fh.RecordedGuest, st.just(TRACE), speed=st.floats(0.5, 9), repeat=st.integers(0, 3)),
)
migrations = parts(
    fh.MigrationConfig,
    bandwidth_Bps=st.integers(1 << 20, 1 << 40),
    generation=st.sampled_from(("G1", "G2", "G3")),
    initially_set=truths,
    cancel_at_ns=never,
)
scenarios = st.fixed_dictionaries(
    {"workload": workloads, "policy": policies | several.map(tuple)},
    optional={
        "kernel": st.sampled_from((None, "4.15", "5.10", "6.1", "6.12", "7.3")),
        "seed": st.integers(0, 1 << 70),
        "migration": st.none() | migrations,
        "ring": parts(fh.RingConfig, size=st.sampled_from((1, 2, 64, 1024))),
        "host": parts(fh.HostConfig, gap_ns=times, discard=truths),
        "costs": parts(fh.Costs, lock_ns=st.integers(0, 999)),
        "control": parts(fh.Control, every_ns=times, stop_at_ns=never, acknowledge_on_stop=truths),
        "walk_at_ns": times,
        "duration_ns": st.integers(1, 1 << 40),
    },
)


def there_and_back(scenario):
    """The scenario that its dict tells, which went through text as it does in a file."""
    return scenario_of(json.loads(json.dumps(told(scenario))))


def executed(code: str):
    """The scenario that a line of code makes."""
    made = {}
    exec("import freehint as fh\n" + code, made)
    return made["scenario"]


def same_everywhere(scenario, path):
    """Dict, differences to the default, code and TOML give the same scenario: the four."""
    path.write_text(scenario_toml(scenario))
    found = (
        there_and_back(scenario),
        scenario_of(json.loads(json.dumps(changes(scenario)))),
        executed(scenario_code(scenario)),
        read_scenario(path),
    )
    for one in found:
        assert told(one) == told(scenario)
    return found


@settings(SETTINGS, max_examples=examples(60))
@given(values=scenarios)
def test_any_scenario_there_and_back(values, tmp_path_factory):
    try:
        scenario = fh.Scenario(**values)
    except fh.InputError:
        return  # a contradiction is no scenario
    same_everywhere(scenario, tmp_path_factory.getbasetemp() / "again.toml")


@pytest.mark.parametrize("policy", fh.POLICIES)
def test_every_policy_there_and_back(policy, tmp_path):
    """With its code, and with the fields that are no parameters: colour, mark, promise."""
    for scenario in (
        fh.Scenario(memory="64MiB", policy=policy),
        fh.Scenario(policy=(policy,)),
        fh.Scenario().with_values({"policy": policy, "policy.pause_ns": 7}),
    ):
        for one in same_everywhere(scenario, tmp_path / "again.toml"):
            assert one == scenario


@pytest.mark.parametrize(
    "policy",
    [
        fh.CallWalker("mine", rotate="on_exit", resume="scan_for_mark", span=False, capacity=0),
        fh.CallFiveStep("mine", keep=False, order="low_first"),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_a_policy_as_a_kernel_calls_it_there_and_back(policy, tmp_path):
    scenario = fh.Scenario(policy=policy)
    for one in same_everywhere(scenario, tmp_path / "again.toml"):
        assert one == scenario and type(one.policy) is type(policy)


def test_every_kind_that_a_scenario_may_have_is_known():
    """A new policy or guest need not be added here too."""
    kinds = {type(policy) for policy in (fh.POLICIES | fh.policies.AGENTS).values()}
    kinds |= set(fh.policies.CALLED)
    kinds |= {fh.Workload, fh.Program, fh.RecordedGuest, fh.UnderPressure}
    kinds |= {fh.MigrationConfig, fh.ParkConfig}
    assert set(KINDS.values()) == kinds


def test_the_parts_that_have_several_kinds_tell_theirs():
    table = told(fh.Scenario(policy="v33", migration=fh.MigrationConfig()))
    kinds = {
        n: part["kind"] for n, part in table.items() if isinstance(part, dict) if "kind" in part
    }
    assert kinds == {"policy": "Walker", "workload": "Workload", "migration": "MigrationConfig"}
    assert [*table] == [one.name for one in fields(fh.Scenario)]


def test_changes_are_all_that_is_told():
    assert changes(fh.Scenario()) == {}
    scenario = fh.Scenario(policy="v33", memory="64MiB").with_values(
        {"policy.capacity": 3, "ring.size": 8, "workload.state": "frag"}
    )
    assert changes(scenario) == {
        "memory": "64MiB",
        "policy": "v33",
        "policy.capacity": 3,
        "workload": {"kind": "Program", "state": "frag"},
        "ring": {"size": 8},
    }


def test_a_file_tells_memory_policy_and_seed_even_where_they_are_the_defaults():
    told = f'memory = "{DEFAULT_MEMORY}"\npolicy = "v24"\nseed = 1\n'
    assert scenario_toml(fh.Scenario()) == told


class Mine(fh.policies.Walker):
    """A kind of one's own that passes itself off as nothing else."""


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        (QUIET, "with the verb own_policy.fill"),
        (Mine("mine"), "of kind test_scenario_dict.Mine"),
    ],
)
def test_a_policy_of_ones_own_is_told_and_never_made(policy, what):
    scenario = fh.Scenario(policy=policy)
    with pytest.raises(fh.InputError, match=f"{policy.name}', {what}, is none of freehint's own"):
        there_and_back(scenario)
    with pytest.raises(fh.InputError, match=f"'{policy.name}' has verbs of its own"):
        changes(scenario)
    assert scenario_toml(scenario) is None


def test_a_memory_made_by_hand_is_told_and_never_made():
    scenario = fh.Scenario(memory=fh.make_memory("64MiB"))
    with pytest.raises(fh.InputError, match="its memory was made by hand"):
        there_and_back(scenario)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"workload": {"kind": "Elephant"}}, "workload.kind must be one of .*, got 'Elephant'"),
        (
            {"workload": {"kind": ["Program"]}},
            r"workload.kind must be one of .*, got \['Program'\]",
        ),
        ({"workload": {"kind": "RecordedGuest"}}, "workload must have trace for kind"),
        ({"workload": {"kind": "Program", "sate": 1}}, "Program has no parameter 'sate'"),
        ({"workload": {"kind": "Walker", "name": "x"}}, "workload must be a "),
        ({"policy": {"kind": "os.system", "name": "x"}}, "of kind os.system, is none"),
        ({"policy": {"kind": "Walker", "name": "x", "fill": "os.system"}}, "the verb os.system"),
        ({"rings": {"size": 1}}, "there is no parameter 'rings"),
        ({"ring": {"size": -1}}, "ring.size must"),
    ],
)
def test_a_dict_that_tells_no_scenario_is_one_sentence(table, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        scenario_of(table)


def test_labels_of_a_sweep_are_the_same_dicts():
    program = fh.Program(state="freed", fill_MiB=8)
    assert json.loads(label(program)) == told(program)
    assert label(fh.POLICIES["v24"]) == "v24" and label(7) == 7 and label(None) is None


def test_a_part_inside_a_part_is_named_with_it():
    with pytest.raises(fh.InputError, match=r"^workload\.\.kind must be one of .*, got 'x'$"):
        scenario_of({"workload": {"kind": "Workload", "": {"kind": "x"}}})
    with pytest.raises(fh.InputError, match=r"^a parameter must have a name, got ''$"):
        scenario_of({"": {"kind": "x"}})
    with pytest.raises(fh.InputError, match=r"^a parameter must have a name, got '\.'$"):
        scenario_of({"": {"": {"kind": None}}})
