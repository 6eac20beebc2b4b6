"""Two tasks share the CPU by EEVDF as the rules of Linux 6.12 say, step by step."""

import pytest

from freehint.engine.guest.pressure.eevdf import MOST_LAG_NS, SLICE_NS
from freehint.engine.guest.pressure.sharing import TICK_NS, account, sleep_task, wake_task
from freehint.engine.world.jobs import JOB, KSWAPD, NOBODY, new_jobs

US = 1000


@pytest.fixture
def jobs():
    found = new_jobs([[0] * 6])
    found.state["eevdf"], found.state["task"], found.state["tick_at"] = 1, NOBODY, TICK_NS
    return found


def test_a_task_that_wakes_takes_its_turn_and_the_first_tick_ends_it(jobs):
    state = jobs.state[0]
    wake_task(jobs, JOB, 0)
    assert state.task == JOB
    account(jobs, JOB, 3000 * US, 3000 * US)
    wake_task(jobs, KSWAPD, 3000 * US)  # the job has had its slice: equal deadlines, the other runs
    assert state.task == KSWAPD
    assert jobs.vruntime[KSWAPD] == jobs.vruntime[JOB]
    account(jobs, KSWAPD, 1000 * US, 4000 * US)  # more than a slice of 0.75 ms at the tick
    assert state.task == JOB
    account(jobs, JOB, 3900 * US, 7900 * US)
    assert state.task == JOB  # only a tick looks
    account(jobs, JOB, 100 * US, 8000 * US)
    assert state.task == KSWAPD


def test_a_slice_that_is_not_over_at_the_tick_goes_on(jobs):
    wake_task(jobs, JOB, 0)
    account(jobs, JOB, 3500 * US, 3500 * US)
    wake_task(jobs, KSWAPD, 3500 * US)
    account(jobs, KSWAPD, 600 * US, 4100 * US)
    assert 600 * US < SLICE_NS and jobs.state[0].task == KSWAPD


def test_a_task_within_its_slice_is_not_preempted(jobs):
    wake_task(jobs, JOB, 0)
    account(jobs, JOB, 500 * US, 500 * US)
    wake_task(jobs, KSWAPD, 500 * US)
    assert jobs.state[0].task == JOB


def test_a_task_that_sleeps_ahead_of_the_others_stays_queued_until_they_catch_up(jobs):
    wake_task(jobs, JOB, 0)
    account(jobs, JOB, 3000 * US, 3000 * US)
    wake_task(jobs, KSWAPD, 3000 * US)
    account(jobs, KSWAPD, 900 * US, 3900 * US)
    ahead = jobs.vruntime[KSWAPD]
    sleep_task(jobs, KSWAPD, 3900 * US)
    assert jobs.state[0].task == JOB and jobs.delayed[KSWAPD] == 1
    wake_task(jobs, KSWAPD, 3900 * US)  # it has nothing to give up, and keeps its place
    assert jobs.state[0].task == JOB and jobs.vruntime[KSWAPD] == ahead
    sleep_task(jobs, KSWAPD, 3900 * US)
    account(jobs, JOB, 1000 * US, 4900 * US)  # past the tick: the job has caught up
    assert jobs.delayed[KSWAPD] == 0 and jobs.lag[KSWAPD] == 0


def test_a_task_that_was_behind_is_placed_as_far_behind_again(jobs):
    wake_task(jobs, JOB, 0)
    account(jobs, JOB, 3000 * US, 3000 * US)
    wake_task(jobs, KSWAPD, 3000 * US)
    sleep_task(jobs, JOB, 3000 * US)
    account(jobs, KSWAPD, 800 * US, 3800 * US)
    wake_task(jobs, JOB, 3800 * US)
    account(jobs, KSWAPD, 400 * US, 4200 * US)
    sleep_task(jobs, JOB, 4200 * US)
    lag = jobs.lag[JOB]
    assert 0 < lag <= MOST_LAG_NS
    account(jobs, KSWAPD, 700 * US, 4900 * US)
    wake_task(jobs, JOB, 4900 * US)
    assert jobs.vruntime[KSWAPD] - jobs.vruntime[JOB] == 2 * lag
