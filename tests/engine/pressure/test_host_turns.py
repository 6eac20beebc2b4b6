"""A host that takes the guest's CPU away: what it does to the time, kswapd and direct reclaim."""

import pytest

import freehint as fh
from freehint.engine.guest.pressure.stolen import parse_turns


def filled(turns, seed=1):
    guest = fh.UnderPressure(
        jobs="read a; fill 200", files="a=200", host_turns=turns, min_free_kbytes=1500
    )
    run = fh.simulate(
        fh.Scenario(
            memory="256MiB", policy="none", seed=seed, workload=guest, duration_ns=9_000_000_000
        )
    )
    assert run.summary["jobs_done"] == 2
    return run


def stalls(run) -> int:
    return int(run.reclaim.iloc[-1].filter(like="allocstall_").sum())


def test_a_kswapd_that_was_cut_off_waits_and_the_job_reclaims_directly():
    alone = [filled(None, seed) for seed in (1, 2, 3)]
    shared = [filled("3.5+8.5", seed) for seed in (1, 2, 3)]
    assert max(map(stalls, alone)) * 3 < min(map(stalls, shared))
    for one, other in zip(alone, shared):
        lasts, longer = (run.jobs["end_ns"].iloc[-1] for run in (one, other))
        assert longer / lasts == pytest.approx(12 / 3.5, rel=0.06)


def test_the_seed_draws_the_first_turn():
    turns = "1+1, 40+30"
    ends = [filled(turns, seed).jobs["end_ns"].iloc[-1] for seed in (1, 1, 2, 3, 4, 5)]
    assert ends[0] == ends[1] and len(set(ends)) > 1


def test_turns_are_two_times_in_ms():
    assert parse_turns("3.5+4.5, 2+0.25", "x") == ((3_500_000, 4_500_000), (2_000_000, 250_000))
    assert parse_turns(None, "x") == ()


@pytest.mark.parametrize("text", ["3.5", "1+2+3", "0+1", "1+-1", "nan+1", "1+inf", "1+2,", "a+b"])
def test_other_turns_are_refused(text):
    with pytest.raises(fh.InputError, match="must be RUNS") as refused:
        fh.UnderPressure(host_turns=text)
    assert "\n" not in str(refused.value)
