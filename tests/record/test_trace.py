"""The trace's text as rows, and its losses, which are refused."""

import pytest

from freehint.config import InputError
from freehint.formats.traces.read import read_recorded_trace, read_trace
from freehint.record.trace import check_profile, check_statistics, write_trace

LINES = (
    "            init-1       [000]      2.198620: tracing_mark_write: FH T0",
    "            init-103     [000]      2.198621: bulk: (rmqueue_bulk+0x0/0x5d0) order=0 a=63"
    " migratetype=0 b=2049",
    "          fhload-181     [001]      5.940867: drain: (free_pcppages_bulk+0x0/0x2e0) a=126 b=1",
    "          fhwalk-100     [000]      6.595813: w_walk_begin: pfn=-1 order=-1 mt=-1 a=0 b=2 c=0",
    "          fhwalk-100     [000]      6.595999: w_interrupt:"
    " pfn=37800 order=9 mt=1 a=1 b=0 c=300",
    "     kworker/0:1-11      [000]      6.596000: decay: (decay_pcp_high+0x0/0xb0) a=1072010880",
    "             cat-12      [000]      6.596001: isolate_ret:"
    " (x+0x1/0x2 <- __isolate_free_page) a=0",
)
STATISTICS = """### {cpu}
entries: {entries}
overrun: {overrun}
commit overrun: 0
bytes: 10624860
oldest event ts:     2.194532
now ts:     7.027655
dropped events: {dropped}
read events: 0
"""


def text_of(folder, *lines):
    path = folder / "trace.txt"
    path.write_text("# tracer: nop\n#\n" + "".join(f"{line}\n" for line in lines))
    return path


def test_text_becomes_rows(tmp_path):
    out = tmp_path / "x.trace.parquet"
    assert len(write_trace(text_of(tmp_path, *LINES), out, len(LINES))) == len(LINES)
    trace = read_recorded_trace(out)
    assert trace["seq"].tolist() == list(range(len(LINES)))
    names = ["event", "pfn", "order", "migratetype", "a", "b", "c", "gfp"]
    assert trace[names].astype(object).to_numpy().tolist() == [
        ["tracing_mark_write", -1, -1, -1, -1, -1, -1, "FH T0"],
        ["bulk", -1, 0, 0, 63, 2049, -1, ""],
        ["drain", -1, -1, -1, 126, 1, -1, ""],
        ["w_walk_begin", -1, -1, -1, 0, 2, 0, ""],
        ["w_interrupt", 37800, 9, 1, 1, 0, 300, ""],
        ["decay", -1, -1, -1, 1072010880, -1, -1, ""],
        ["isolate_ret", -1, -1, -1, 0, -1, -1, ""],
    ]
    assert (trace["ts_us"].iloc[1], trace["cpu"].iloc[2], trace["pid"].iloc[1]) == (2198621, 1, 103)


def test_a_walker_row_without_a_field_is_not_understood(tmp_path):
    path = text_of(tmp_path, LINES[3].replace(" mt=-1", ""))
    assert read_trace(path).account.unmatched == 1
    path = text_of(tmp_path, LINES[4].replace("c=300", "c=-7"))
    with pytest.raises(InputError, match="line 3: c -7 must lie in"):
        read_trace(path)


FLAGGED = (
    "            init-1       [000] .....     2.198620: tracing_mark_write: FH T0",
    "    a] 0..s1 -36      [000] d.s2.    13.584246: mm_vmscan_write_folio: page=00000000ad21c3d0"
    " pfn=0xbc8a flags=RECLAIM_WB_ANON|RECLAIM_WB_ASYNC",
    "            load-164     [000] d.h1.   113.584273: turn_head: (compaction_alloc+0x2a6/0xb40)"
    " pfn=6262759 order=3",
    "            load-164     [000] d.H1.   113.584274: turn_head: (compaction_alloc+0x2a6/0xb40)"
    " pfn=59776 order=3",
)


def test_the_context_of_each_row(tmp_path):
    out = tmp_path / "x.trace.parquet"
    write_trace(text_of(tmp_path, *FLAGGED), out, len(FLAGGED), contexts=True)
    trace = read_recorded_trace(out)
    assert trace["irq"].tolist() == [0, 1, 2, 3]
    assert trace["pfn"].tolist() == [-1, 0xBC8A, -1, 59776]
    assert trace["gfp"].iloc[1] == "RECLAIM_WB_ANON|RECLAIM_WB_ASYNC"
    with pytest.raises(InputError, match="does not tell the contexts of 7 rows"):
        write_trace(text_of(tmp_path, *LINES), out, len(LINES), contexts=True)


@pytest.mark.parametrize(
    ("lines", "entries", "sentence"),
    [
        (LINES, 8, "the trace has 7 rows, but the kernel counted 8"),
        ([*LINES, LINES[0].replace("tracing_mark_write", "strange")], 8, "unknown kind strange"),
        ([*LINES, LINES[2].replace("a=126", "a=126 pages=3")], 8, "no column for drain.pages"),
        ([*LINES, "CPU:0 [LOST 5 EVENTS]"], 7, "CPU 0 lost 5 events"),
    ],
)
def test_a_trace_that_is_not_whole_is_refused(tmp_path, lines, entries, sentence):
    out = tmp_path / "x.trace.parquet"
    with pytest.raises(InputError, match=sentence):
        write_trace(text_of(tmp_path, *lines), out, entries)
    assert not out.exists()


def test_statistics():
    good = [STATISTICS.format(cpu=cpu, entries=5, overrun=0, dropped=0) for cpu in (0, 1)]
    assert check_statistics("".join(good)) == 10
    bad = STATISTICS.format(cpu=1, entries=5, overrun=3, dropped=7)
    with pytest.raises(InputError, match="lost rows: overrun 3, dropped events 7; a shorter"):
        check_statistics(good[0] + bad)
    with pytest.raises(InputError, match="tell no entries"):
        check_statistics("")


def test_missed_probes():
    profile = (
        "  drain                 73               0\n  isolate                0           {}\n"
    )
    assert check_profile(profile.format(0)) == {"drain": 73, "isolate": 0}
    with pytest.raises(InputError, match="'isolate' was missed 4 times"):
        check_profile(profile.format(4))
