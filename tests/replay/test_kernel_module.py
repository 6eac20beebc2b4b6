"""The kernel module and the replay mean the same knobs, rows and numbers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from freehint.replay.walker import five_steps, walks
from freehint.replay.walker.knobs import KNOBS, RESUME, ROTATE

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "freehint" / "record" / "module"
SOURCES = {path.name: path.read_text() for path in MODULE.iterdir() if path.is_file()}


def enum(name: str) -> list[str]:
    """The names of an enum of fhwalk.h, in order."""
    (body,) = re.findall(rf"enum {name} \{{(.*?)\}}", SOURCES["fhwalk.h"], re.DOTALL)
    return re.findall(r"\b[A-Z_0-9]+\b", re.sub(r"/\*.*?\*/", "", body))


def test_the_module_has_the_knobs_of_the_replay_with_their_defaults():
    main = SOURCES["main.c"]
    (values,) = re.findall(r"struct knobs asked = \{(.*?)\};", main, re.DOTALL)
    defaults = {name: int(value) for name, value in re.findall(r"\.(\w+) = (\d+)", values)}
    names = re.findall(r"^KNOB\((\w+), ", main, re.MULTILINE)
    assert {name: defaults.get(name, 0) for name in names} == {
        name: default for name, (default, _, _) in KNOBS.items()
    }


def test_the_readme_tells_the_same_defaults():
    told = {}
    for names, values in re.findall(r"^\| ([\w, ]+) \| ([\d, ]+) \|", SOURCES["README.md"], re.M):
        told |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert told == {name: default for name, (default, _, _) in KNOBS.items()}


def test_the_module_writes_the_rows_that_the_replay_knows():
    declared = set(re.findall(r"^W_ROW\((\w+)\);", SOURCES["fhwalk_trace.h"], re.MULTILINE))
    c_files = [text for name, text in SOURCES.items() if name.endswith(".c")]
    assert set(re.findall(r"\btrace_(w_\w+)\(", "".join(c_files))) == declared
    replay = "".join(path.read_text() for path in (ROOT / "freehint/replay/walker").glob("*.py"))
    assert set(re.findall(r'"(w_\w+)"', replay)) == declared


def test_numbers_in_rows_mean_the_same():
    assert [name.lower() for name in enum("rotate")] == list(ROTATE)
    assert len(enum("resume")) == len(RESUME)
    ends = [walks.BUFFER_FULL, walks.LISTS_DONE, walks.RING_FULL, walks.INTERRUPTED]
    names = ["STROKE_CAPACITY", "STROKE_END", "STROKE_RING_FULL", "STROKE_INTERRUPTED"]
    assert [enum("stroke_end").index(name) for name in names] == ends
    lists = enum("list_end")
    assert lists.index("LIST_BOUND") == walks.MOVED_BLOCK
    assert five_steps.LIST_ENDS == {
        five_steps.AT_CAPACITY: lists.index("LIST_CAPACITY"),
        five_steps.AT_WATERMARK: lists.index("LIST_WATERMARK"),
        five_steps.AT_KEPT_BLOCK: lists.index("LIST_BOUND"),
    }


def test_every_source_is_built_and_told_under_both_licences():
    (objects,) = re.findall(r"^fhwalk-y := (.*)$", SOURCES["Kbuild"], re.MULTILINE)
    built = {f"{name.removesuffix('.o')}.c" for name in objects.split()}
    assert built == {name for name in SOURCES if name.endswith(".c")}
    for name in (*built, "fhwalk.h", "fhwalk_trace.h", "Kbuild", "Makefile"):
        assert "SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause" in SOURCES[name], name
    assert 'MODULE_LICENSE("Dual BSD/GPL")' in SOURCES["main.c"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_headers_unpacked_elsewhere_find_their_common_part(tmp_path):
    headers, common = tmp_path / "linux-headers-6.1-cloud", tmp_path / "linux-headers-6.1-common"
    headers.mkdir()
    common.mkdir()
    (headers / "Makefile").write_text("include /nowhere/linux-headers-6.1-common/Makefile\n")
    (common / "Makefile").write_text("")
    command = ["make", "--dry-run", "-C", str(MODULE), f"KDIR={headers}", "modules"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert f"-C {headers} -f {common}/Makefile M={MODULE}" in told
