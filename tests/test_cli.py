"""The command line: exit codes, one sentence, nothing half-written; and the rendered report."""

import json
import re
import shutil
import subprocess
import sys
from importlib import import_module

import pandas as pd
import pytest

import freehint as fh
from freehint.cli import PARTS, _parser, main
from freehint.config import nearest, parameters
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.inputs.source import annotations, keys
from freehint.policies import REFUSED
from freehint.runs.scenario import Scenario
from freehint.sweeps.paired import number
from lab import open_offline

QUICK = ["--memory", "64MiB", "--set", "duration_ns=20000000", "--set", "walk_at_ns=1000000"]


def test_simulate_prints_the_comparison_and_writes_the_tables(tmp_path, capsys):
    assert main(["simulate", *QUICK, "--policy", "v24", "-o", str(tmp_path / "run")]) == 0
    run = fh.Run.load(tmp_path / "run")
    assert run.summary["policy"] == "v24" and len(run.reports) > 0
    assert "coverage" in capsys.readouterr().out


def test_simulate_compares_several_policies(capsys):
    assert main(["simulate", *QUICK, "--policy", "none", "--policy", "hold_the_lock"]) == 0
    header = capsys.readouterr().out.splitlines()[0].split()
    assert header == ["none", "hold_the_lock"]


MOVED = [
    *("--memory", "64MiB", "--policy", "none", "--policy", "balloon_alloc"),
    *("--set", "workload.state=freed", "--set", "workload.fill_MiB=32"),
    *("--set", "migration.bandwidth_Bps=50000000"),
]


def test_simulate_moves_a_program(capsys):
    assert main(["simulate", *MOVED, "--set", "duration_ns=3000000000"]) == 0
    shown = capsys.readouterr().out
    rows = {line[:22].strip(): line[22:].split() for line in shown.splitlines()[1:]}
    assert rows["migration"] == ["completed", "completed"]
    none, balloon = (float(mb) for mb in rows["sent"][::2])
    assert rows["sent"][1::2] == ["MB", "MB"] and balloon < none / 2


def test_a_migration_that_did_not_end_is_said(capsys):
    assert main(["simulate", *MOVED]) == 0
    assert "none: no migration ended in 0.2 s: set duration_ns" in capsys.readouterr().out


def test_a_host_that_discards_is_a_setting(tmp_path):
    out = str(tmp_path / "run")
    assert main(["simulate", *QUICK, "--set", "host.discard=true", "-o", out]) == 0
    assert len(fh.Run.load(out).resident) == 101


def test_a_sweeps_file_moves_a_program(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(
        """
        seeds = [1]
        out = "runs.parquet"
        [scenario]
        memory = "64MiB"
        duration_ns = 3_000_000_000
        policy = "none"
        [scenario.workload]
        state = "freed"
        fill_MiB = 16
        [scenario.migration]
        bandwidth_Bps = 50_000_000
        [grid]
        workload.state = ["idle", "freed"]
        migration.generation = ["G1", "G3"]
        """
    )
    assert main(["sweep", "sweep.toml"]) == 0
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert (table["migration"] == "completed").all() and len(table) == 4
    sent = table.groupby("workload.state")["normal_pages"].mean()
    assert sent["freed"] > sent["idle"] + 8 * 256


BAD = [
    (
        ["simulate", "--polcy", "v24"],
        "unrecognized arguments: --polcy; did you mean '--policy'",
    ),
    (["simulate", "--policy", "v42"], "policy must be one of none, v24.*got 'v42'; did you mean"),
    (["simulate", "--policy", "v24+five_stp"], "got 'five_stp'; did you mean 'five_step'"),
    (["simulate", "--policy", "v25"], "policy 'v25' walks as v24"),
    (["simulate", "--set", "ring.size=0"], "ring.size must be a power of two.*got 0"),
    (
        ["simulate", "--set", "rnig.size=4"],
        "there is no parameter 'rnig.size'.*did you mean 'ring'",
    ),
    (["simulate", "--set", "ring.size"], "a setting must be NAME=VALUE, got 'ring.size'"),
    (["simulate", "--memory", "no/such.T0"], r"no/such\.T0\.meta\.json: there is no such file"),
    (["simulate", "--memory", "nothere"], "so memory 'nothere' is no snapshot; nor is it sample"),
    (
        ["simulate", "--set", "migration.bandwith_Bps=5"],
        "there is no parameter 'migration.bandwith_Bps'; there are migration.start_at_ns",
    ),
    (
        ["simulate", "--set", "workload.fill_MiB=5"],
        "no parameter 'workload.fill_MiB' of a Workload; with workload.state it is a Program",
    ),
    (
        ["simulate", "--set", "workload.state=idle", "--set", "workload.fil_MiB=5"],
        "there is no parameter 'workload.fil_MiB'; there are workload.state, workload.fill_MiB",
    ),
    (["simulate", "--set", "workload.state=asleep"], "workload.state must be one of idle, freed"),
    (["simulate", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
    (["report", "-p", "polices=[]"], "report.ipynb has no parameter 'polices'; it has seeds"),
    (["report", "-p", "seeds=3"], "parameter seeds must be a list, as its default .*, got 3"),
    (["walk"], "invalid choice: 'walk'; there are simulate, sweep"),
    (["simulat"], "invalid choice: 'simulat'; .*did you mean 'simulate'"),
    (["validate", "hint", "."], "invalid choice: 'hint'; .*did you mean 'hints'"),
    (["replay", "x", "--level", "pcpp"], "there are buddy, pcp; did you mean 'pcp'"),
    ([], "the following arguments are required: command"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD)
def test_bad_input_is_one_sentence_and_exit_2(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert re.search(sentence, err) and len(err.strip().splitlines()) == 1
    assert out == "" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("rnig", ("ring", "host"), "; did you mean 'ring'?"),
        ("x", ("ring",), ""),
        ("", ("ring",), ""),
        (None, ("ring",), ""),
        (5, (4, "5"), ""),
        ("r" * 10**6, ("ring", 4), ""),
    ],
)
def test_the_nearest_name_is_told_if_one_is_near(name, known, hint):
    assert nearest(name, known) == hint


def test_existing_tables_are_never_overwritten(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert main(["simulate", *QUICK, "-o", str(tmp_path / "run")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert list((tmp_path / "run").iterdir()) == []


def test_a_corrupted_snapshot_is_named(tmp_path, capsys):
    source = fh.data("linux-6.1/traces/idle20.T0")
    for path in source.parent.glob("idle20.T0.*"):
        shutil.copy(path, tmp_path)
    broken = tmp_path / "idle20.T0.freelist.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    assert main(["simulate", "--memory", str(tmp_path / "idle20.T0")]) == 2
    err = capsys.readouterr().err
    assert "idle20.T0.freelist.parquet: this is not whole parquet" in err


@pytest.mark.parametrize("command", ["simulate", "report"])
def test_help_exits_0(command, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main([command, "--help"])
    assert "usage: freehint" in capsys.readouterr().out


HEAVY = {"numpy", "pandas", "numba", "pyarrow", "matplotlib", "ipywidgets", "tqdm", "polars"}
LIGHT = [
    (["--help"], 0),
    (["--version"], 0),
    (["validate", "migration", "--help"], 0),
    (["record", "guest", "--help"], 0),
    (["simulat"], 2),
    (["simulate", "--polcy", "v24"], 2),
    (["simulate", "--set", "ring.size"], 2),
    (["simulate", "--set", "rnig.size=4"], 2),
    (["simulate", "--set", "ring.szie=4"], 2),
    (["simulate", "--policy", "v24+v42"], 2),
    (["replay", "x", "--level", "pcpp"], 2),
    (["report", "-p", "seeds"], 2),
]


LIGHT_MODULES = (
    *("", ".cli", ".config", ".inputs", ".inputs.collector", ".inputs.source", ".record"),
    *(".replay", ".version"),
    *(".record.options", ".record.reclaim", ".record.reclaim.options"),
    *(".replay.pressure", ".replay.pressure.options", ".safety", ".safety.options"),
    *(".studies", ".studies.costs", ".studies.costs.options"),
)


def loaded_by(arguments) -> tuple[int, set]:
    """The exit code of a command line in a process of its own, and the modules it has imported."""
    script = (
        "import sys, freehint.cli\n"
        f"try: code = freehint.cli.main({arguments!r})\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    code, *modules = done.stdout.splitlines()[-1].split()
    return int(code), set(modules)


@pytest.mark.parametrize(("arguments", "code"), LIGHT)
def test_help_and_refusals_import_nothing_heavy(arguments, code):
    ended, modules = loaded_by(arguments)
    assert ended == code and not modules & HEAVY
    own = {name for name in modules if name.split(".")[0] == "freehint"}
    assert own == {f"freehint{name}" for name in LIGHT_MODULES}


def test_the_count_of_imports_sees_a_command_that_runs():
    ended, modules = loaded_by(["simulate", "--set", "ring.size=0"])
    assert ended == 2 and {"numpy", "pandas", "numba", "freehint.engine"} <= modules


def test_a_reports_misspelt_parameter_is_refused_before_jupyter_is_imported():
    ended, modules = loaded_by(["report", "-p", "polices=1"])
    assert ended == 2 and not modules & {"nbformat", "papermill", "matplotlib", "numba"}


@pytest.mark.parametrize("part", ["", *PARTS])
def test_names_read_from_the_text_are_those_of_the_dataclass(part):
    kind = Scenario
    if part:
        given = {"park": ParkConfig()} if part == "park" else {"migration": MigrationConfig()}
        kind = type(getattr(Scenario(**given), part))
    names = list(annotations(kind.__module__, kind.__name__))
    assert names == [one.name for one in parameters(kind)]


@pytest.mark.parametrize("name", ["rnig.size", "ring.szie", "polcy", "migration.bandwidth"])
def test_a_name_that_no_scenario_has_is_refused_in_the_words_of_a_scenario(name, capsys):
    assert main(["simulate", "--set", f"{name}=1"]) == 2
    with pytest.raises(fh.InputError) as caught:
        Scenario().with_values({name: 1})
    assert str(caught.value) in capsys.readouterr().err


def test_every_command_names_a_function_that_exists():
    found = {}

    def walk(parser):
        for action in parser._actions:
            for inner in action.choices.values() if action.dest in KINDS else ():
                found[inner.prog] = inner.get_default("run")
                walk(inner)

    walk(_parser())
    assert len(found) == 18 and found.pop("freehint validate") is None  # it has kinds
    assert found.pop("freehint record") is None
    for name in found.values():
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function)), name


KINDS = ("command", "kind")


def test_the_policies_of_the_help_are_those_there_are():
    assert keys("freehint.policies", "POLICIES") == list(fh.POLICIES) and keys(
        "freehint.policies", "REFUSED"
    ) == list(REFUSED)


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["simulate", *QUICK], "-o FOLDER keeps the tables"),
        (["simulate", *QUICK, "-o", "my run"], "freehint report 'my run' -o run.html"),
        (["simulate", *QUICK, "--policy", "none", "--policy", "v24"], "freehint report -o"),
        (["replay", str(fh.data("linux-6.1/traces/idle20"))], "freehint validate replay FOLDER"),
        (["validate", "hints", str(fh.data("linux-6.1/hints"))], "--out FILE.parquet keeps"),
        (["sweep", "sweep.toml"], 'out = "runs.parquet" in sweep.toml keeps the table'),
        (["report", "one.toml", "-o", "one.html"], "open one.html in a browser"),
    ],
)
def test_a_command_ends_with_the_next_step(arguments, step, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = 'memory = "64MiB"\nduration_ns = 20000000\n'
    (tmp_path / "one.toml").write_text(quick)
    (tmp_path / "sweep.toml").write_text(
        f"seeds = [1]\n[grid]\nring.size = [64]\n[scenario]\n{quick}"
    )
    assert main(arguments) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("next: ") and step in last


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "freehint", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "usage: freehint" in done.stdout


LORE = "https://lore.kernel.org/r/1516790562-37889-2-git-send-email-wei.w.wang@intel.com"  # cited
SMALL_REPORT = [
    "-p", 'memory="64MiB"',
    "-p", 'policies=["none","v24"]',
    "-p", "seeds=[1,2]",
    "-p", 'guest={"memory":"64MiB","duration_ns":30000000}',
    "-p", 'settings={"duration_ns":500000000,"workload.fill_MiB":16,"workload.dirty_MiB":8,'
    '"migration.start_at_ns":100000000}',
    "-p", "verdict=false",
]  # fmt: skip


def test_report_is_one_offline_file_with_pictures_table_and_provenance(tmp_path, capsys):
    path = tmp_path / "deep" / "report.html"
    assert main(["report", "-o", str(path), *SMALL_REPORT]) == 0
    assert f"report: {path}" in capsys.readouterr().out
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    shown = open_offline(path, "report_small")
    assert shown.requests == [] and shown.errors == []
    html = path.read_text()
    assert html.count("data:image/png;base64,") >= 5
    assert "<Figure" not in html and "Figure size" not in html
    for text in ("coverage", "allocations done", "bytes sent", "Provenance", LORE):
        assert text in shown.text
    assert f"freehint {fh.__version__}" in shown.text  # cited
    for text in ("workload.nr_cpus", "duration_ns", "30000000"):
        assert text in html and text not in shown.text  # folded away
    # Nothing but the title's own namespace may look like an address.
    addresses = set(re.findall(r"(?:src|href)=[\"'](https?:[^\"']+)", html))
    assert addresses == set()


def test_a_report_in_which_nothing_walks_is_refused(tmp_path, capsys):
    path = tmp_path / "report.html"
    late = ["-p", 'guest={"memory":"64MiB","duration_ns":30000000,"walk_at_ns":40000000}']
    assert main(["report", "-o", str(path), *SMALL_REPORT, *late]) == 2
    err = capsys.readouterr().err
    assert "in this scenario nothing walks (policies none, v24)" in err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_leaves_nothing(tmp_path, capsys):
    path = tmp_path / "report.html"
    assert main(["report", "-o", str(path), "-p", 'policies=["v42"]']) == 2
    err = capsys.readouterr().err
    assert "report.ipynb: InputError: policy must be one of" in err
    assert list(tmp_path.iterdir()) == []


def test_report_says_what_the_runs_say(tmp_path):
    """The sentences are computed from the runs they speak of."""
    runs = [fh.simulate(fh.Scenario(memory="64MiB", policy=p)) for p in ("none", "v24")]
    table = fh.summaries(runs)
    text = fh.findings(table)
    assert f"{number(100 * table['coverage'][1])} % of the memory" in text
    table.loc[1, "coverage"] = 0.123
    assert "12.3 % of the memory" in fh.findings(table)


def test_figures_add_up_and_show_themselves():
    runs = [fh.simulate(fh.Scenario(memory="64MiB", policy=p)) for p in ("none", "v24")]
    table = fh.summaries(runs)
    ax = fh.figures.hint_balance(table)
    widths = sum(bar.get_width() for container in ax.containers for bar in container)
    assert widths * 256 == pytest.approx(table["offered_pages"].sum())
    assert ax.figure._repr_png_().startswith(b"\x89PNG")
    bars = fh.figures.free_by_order(runs[0].memory).containers
    shown = sum(bar.get_height() for container in bars for bar in container) * 256
    memory = runs[0].memory
    assert shown == memory.zones["nr_free_pages"].sum() + memory.pcp["count"].sum()


def test_pcp_over_time_names_every_history_apart():
    history = fh.simulate(fh.Scenario(memory="64MiB")).history
    ax = fh.figures.pcp_over_time({"one": history, "two": history})
    pages = history.loc[history["order"] == -1, "free_pages"]
    assert [list(line.get_ydata() * 256) for line in ax.lines[:2]] == [list(pages)] * 2
    names = [text.get_text().split(":")[0] for text in ax.texts]
    heights = [text.get_position()[1] for text in ax.texts]
    assert names == ["one", "two"] and heights[1] - heights[0] > 0.05


def test_the_kernel_knob_gives_the_run_that_its_scenario_gives():
    scenario = fh.Scenario(duration_ns=60_000_000)
    knobs = fh.widgets.GuestKnobs(scenario)
    assert knobs.knobs["kernel"].options == tuple(fh.PROFILES)
    assert knobs.values()["kernel"] == "6.1"
    loaded = knobs.base.memory
    knobs.knobs["kernel"].value = "6.12"
    assert knobs.base.memory is loaded and loaded.profile is fh.LINUX_6_1
    assert knobs.run.memory.profile is fh.LINUX_6_12
    policy = knobs.scenario(**knobs.values()).policy
    expected = fh.simulate(scenario.with_values({"kernel": "6.12", "policy": policy}))
    assert knobs.run.history.equals(expected.history)


def test_a_guest_of_another_kernel_has_its_own_on_the_knob():
    memory = fh.make_memory("64MiB", fh.LINUX_5_10)
    knob = fh.widgets.GuestKnobs(fh.Scenario(memory=memory)).knobs["kernel"]
    assert knob.value == "5.10"


def test_provenance_table_lists_what_differs():
    runs = [fh.simulate(fh.Scenario(memory="64MiB", seed=s)) for s in (1, 2)]
    table = fh.provenance_table(runs)
    assert table.loc["seed", "value"] == "1 | 2"
    assert isinstance(table, pd.DataFrame) and json.dumps(runs[0].provenance)
