"""control.at: commands of operators and of the host, at their times."""

import pytest

import freehint as fh
from freehint.runs.control import parse_at

MS = 1_000_000


def test_commands_run_in_the_order_of_time_among_the_others():
    control = fh.Control(at="0.5 balloon 64; 0.002 compact_memory", done_at_ns=3 * MS)
    assert control.commands(MS, 1_000 * MS) == [
        (MS, "start"),
        (2 * MS, "compact_memory"),
        (3 * MS, "done"),
        (500 * MS, "balloon 64"),
    ]
    assert control.commands(MS, 100 * MS)[-1] == (3 * MS, "done")
    assert parse_at("none") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "0.5 inflate 3",
            "reclaim MiB, drop_caches, compact_memory, got '0.5 inflate 3'",
        ),
        ("0.5 balloon", "got '0.5 balloon'"),
        ("0.5 drop_caches 3", "got '0.5 drop_caches 3'"),
        ("0.5 balloon 1;", "got ''"),
        ("soon balloon 3", "a time must be 0 to"),
        ("-1 balloon 3", "a time must be 0 to"),
        ("nan balloon 3", "a time must be 0 to"),
        ("1e400 balloon 3", "a time must be 0 to"),
        ("1 balloon -3", "a number of MiB must be whole and below 10^9, got '1 balloon -3'"),
        ("1 balloon 1e3", "a number of MiB must be whole"),
        ("1 balloon 99999999999999999999", "a number of MiB must be whole"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused_in_a_sentence(text, said):
    with pytest.raises(fh.InputError) as refused:
        fh.Control(at=text)
    assert said in str(refused.value) and str(refused.value).count("control.at") == 1


def test_a_balloon_larger_than_the_guest_is_refused():
    given = fh.Scenario("64MiB", policy="none", duration_ns=MS)
    with pytest.raises(fh.InputError, match="at most the guest's 64 MiB, got 65"):
        fh.simulate(given.with_values({"control.at": "0 balloon 65"}))


def test_what_needs_a_guest_under_pressure_says_so():
    given = fh.Scenario("64MiB", policy="none", duration_ns=MS)
    with pytest.raises(fh.InputError, match=r"only a guest under pressure takes .* 'drop_caches'"):
        fh.simulate(given.with_values({"control.at": "0 drop_caches"}))


def test_compact_memory_compacts_all_zones_at_its_time():
    frag = fh.Program("frag", frag_MiB=30, frag_percent=50, frag_chunk=1)
    given = fh.Scenario("64MiB", policy="none", workload=frag, duration_ns=200 * MS)
    run = fh.simulate(given.with_values({"control.at": "0.1 compact_memory"}))
    large = run.history[run.history["order"] >= 9].groupby("time_s")["free_pages"].sum()
    assert large[large.index > 0.19].min() > large[large.index < 0.1].max()
    assert run.summary["migrated_pages"] > 0 == run.summary["compactions"]
    without = fh.simulate(given)
    assert without.summary["migrated_pages"] == 0
