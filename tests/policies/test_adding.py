"""A policy is added by a file of its own and a line in policies/__init__.py; all else takes it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import freehint as fh
from freehint.config import InputError, parameters
from freehint.figures.drawing.palette import BY_NAME
from freehint.policies.policy import COLOURS, DESCRIPTION, Knob
from freehint.policies.promise import Promise

ROOT = Path(fh.__file__).parent.parent
ADDED = """
from collections.abc import Callable
from dataclasses import dataclass

from freehint.policies.policy import FULL_RING, Knob, Policy
from freehint.policies.promise import Promise
from freehint.policies.walk import drain, fill


def state_of_share(memory, policy):
    return policy.share


@dataclass(frozen=True)
class Added(Policy):
    name: str = "added"
    fill: Callable = state_of_share
    drain: Callable = drain
    new_state: Callable = state_of_share
    share: int = 3
    colour: str = "purple"
    mark: str = "*"
    promise: Promise = Promise("offered", True)
    host_discards: bool = True
    knobs: tuple = (Knob("share", (1, 2, 3)), FULL_RING)
"""
IMPORT = "from freehint.policies.balloon_alloc import BalloonAlloc\n"
LINE = '    "none": BASELINE,\n'
# What the rest of the house makes of it, as JSON.
SEEN = """
import json
import freehint as fh
from freehint import warm
from freehint.figures.drawing.palette import policy_colour, policy_mark
from freehint.runs.scenario_dict import told
from freehint.studies import compile, promises
from freehint.widgets import scenario_code
from freehint.widgets.lab_knobs import Bench

promised, hosts, warmed = [], {}, []
promises._row = lambda policy, promise, parts: promised.append(promise)
promises._observe_some = lambda policy, first, histories, draw: None
promises.properties("added")

compile.told = compile.pd.concat = lambda runs, *_, **__: runs
compile.sweep = lambda base, grid, *_: hosts.update(
    dict.fromkeys(grid["policy"], base.host.discard)
)
compile.compile_benchmark()

warm.simulate = lambda scenario, **_: warmed.append(
    [scenario.policy.name, scenario.host.discard, scenario.migration is not None]
)
warm._policies()
warm._migrations()

scenario = fh.Scenario(memory="64MiB", policy="added").with_values({"policy.share": 2})
bench = Bench(fh.Scenario(memory="64MiB", policy="added"))
values = bench.values() | {"share": 1}
code = scenario_code(fh.Scenario(memory="64MiB", policy=("v24", scenario.policy)), "pair")
exec("import freehint as fh" + chr(10) + code)
print(json.dumps({
    "promise": promised[0],
    "discards": hosts["added"],
    "others discard": sorted(name for name, on in hosts.items() if on),
    "colour": [policy_colour("added"), policy_mark("added")],
    "warmed": [one for one in warmed if one[0] == "added"],
    "knobs": sorted(bench.applies(values) & {"share", "batch", "full ring", "rotate"}),
    "turned": bench.scenario(values).policy.share,
    "code": scenario_code(scenario),
    "pair": pair.policy[1].share,
    "parameters": sorted(told(scenario)["policy"]),
}))
"""


def test_a_policy_is_added_by_a_file_and_a_line(tmp_path):
    house = tmp_path / "freehint"
    shutil.copytree(ROOT / "freehint", house, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    (house / "policies" / "added.py").write_text(ADDED)
    listed = house / "policies" / "__init__.py"
    text = listed.read_text()
    assert IMPORT in text and LINE in text
    text = text.replace(IMPORT, "from freehint.policies.added import Added\n" + IMPORT)
    listed.write_text(text.replace(LINE, LINE + '    "added": Added(),\n'))
    done = subprocess.run(
        [sys.executable, "-c", SEEN],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    parameters = seen.pop("parameters")
    assert seen == {
        "promise": ["offered", True],
        "discards": True,
        "others discard": ["added", "page_reporting"],
        "colour": [BY_NAME["purple"], "*"],
        # With all policies, and as a mechanism of its own in a migration.
        "warmed": [["added", False, False], ["added", True, True]],
        "knobs": ["full ring", "share"],
        "turned": 1,
        "code": "scenario = fh.Scenario(memory='64MiB', policy='added')"
        ".with_values({'policy.share': 2})",
        "pair": 2,
    }
    assert "share" in parameters and not {"colour", "promise", "knobs"} & set(parameters)


def test_every_colour_of_a_policy_has_a_value_and_no_two_policies_share_one():
    assert set(COLOURS) == set(BY_NAME)
    for name in ("colour", "mark"):
        seen = [getattr(policy, name) for policy in fh.POLICIES.values()]
        assert len(set(seen)) == len(seen), seen


def test_a_description_is_no_parameter_of_a_run():
    painted = fh.Policy("mine", colour="sky", promise=Promise("taken", True))
    assert (painted.colour, painted.promise.once) == ("sky", True)
    assert painted == fh.Policy("mine")
    for policy in fh.POLICIES.values():
        assert not {one.name for one in parameters(policy)} & set(DESCRIPTION), policy.name
    with pytest.raises(InputError, match=r"there is no parameter 'policy\.colour'"):
        fh.Scenario(policy=painted).with_values({"policy.colour": "blue"})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"colour": "pink"}, "policy.colour must be one of black, .*, got 'pink'"),
        ({"mark": "?"}, r"policy.mark must be one of .*, got '\?'"),
        ({"promise": True}, "policy.promise must be a Promise, got True"),
        ({"promise": Promise("told")}, "policy.promise.reported must be one of .*, got 'told'"),
        ({"promise": Promise(None, 1)}, "policy.promise.once must be a bool, got 1"),
        ({"host_discards": 1}, "policy.host_discards must be true or false, got 1"),
        ({"knobs": ("capacity",)}, "policy.knobs must hold Knobs, got 'capacity'"),
        ({"knobs": (Knob("speed", (1,)),)}, "policy.knobs must name fields of it, got 'speed'"),
    ],
)
def test_a_wrong_description_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        fh.Policy("mine", **given)


@pytest.mark.parametrize("policy", ["v25", ("none", "v25")])
def test_v25_is_refused_with_what_it_is(policy):
    sentence = (
        "^policy 'v25' walks as v24 and only returns another value:"
        " see fh.walk_free_mem_block and fh.v24$"
    )
    with pytest.raises(InputError, match=sentence):
        fh.Scenario(policy=policy)
    assert "v25" not in fh.POLICIES
