"""Who has the CPU: EEVDF of 6.6 and later."""

import pytest

from freehint.engine.guest.pressure.eevdf import DELAYED, RUNS, SLEEPS, SLICE_NS, queue_of
from freehint.engine.guest.pressure.sharing import TICK_NS, account, sleep_task, wake_task
from freehint.engine.world.jobs import JOB, KSWAPD, NOBODY, new_jobs
from freehint.units import NS_PER_MS

BIT_NS = 50_000


class Cpu:
    """One CPU, its clock and its tasks."""

    def __init__(self):
        self.jobs = new_jobs([[0] * 6])
        self.jobs.state[0].task = NOBODY
        self.jobs.state[0].eevdf = 1
        self.jobs.state[0].tick_at = TICK_NS
        self.now = 0
        wake_task(self.jobs, JOB, 0)

    @property
    def task(self) -> int:
        return int(self.jobs.state[0].task)

    def run(self, ns: int) -> list[int]:
        """Let whoever has the CPU work, in small bits; return who had it, in turn."""
        had = []
        for _ in range(ns // BIT_NS):
            if had[-1:] != [self.task]:
                had.append(self.task)
            self.now += BIT_NS
            account(self.jobs, self.task, BIT_NS, self.now)
        return had

    def wake(self, task: int) -> None:
        wake_task(self.jobs, task, self.now)

    def sleep(self) -> None:
        sleep_task(self.jobs, self.task, self.now)


@pytest.fixture
def cpu() -> Cpu:
    return Cpu()


def test_a_task_that_wakes_preempts_one_whose_slice_is_over(cpu):
    cpu.run(2 * SLICE_NS)
    cpu.wake(KSWAPD)
    assert cpu.task == KSWAPD


def test_a_task_within_its_slice_keeps_the_cpu_until_the_tick(cpu):
    cpu.run(SLICE_NS // 2)
    cpu.wake(KSWAPD)
    assert cpu.task == JOB
    cpu.run(TICK_NS - cpu.now)
    assert cpu.task == KSWAPD


def test_two_busy_tasks_take_turns_at_ticks(cpu):
    cpu.run(SLICE_NS)
    cpu.wake(KSWAPD)
    begin = cpu.now
    assert cpu.run(20 * NS_PER_MS) == [KSWAPD, JOB, KSWAPD, JOB, KSWAPD, JOB]
    assert abs(int(cpu.jobs.vruntime[KSWAPD] - cpu.jobs.vruntime[JOB])) <= TICK_NS
    assert begin < TICK_NS


def test_who_had_more_than_its_share_waits_although_it_slept(cpu):
    cpu.run(SLICE_NS)
    cpu.wake(KSWAPD)
    cpu.run(3 * NS_PER_MS)
    cpu.sleep()
    assert cpu.task == JOB
    assert queue_of(cpu.jobs, KSWAPD) == DELAYED
    cpu.run(NS_PER_MS)  # less than kswapd has had
    cpu.wake(KSWAPD)
    assert cpu.task == JOB
    assert queue_of(cpu.jobs, KSWAPD) == RUNS


def test_after_a_long_sleep_nothing_is_owed(cpu):
    cpu.run(SLICE_NS)
    cpu.wake(KSWAPD)
    cpu.run(3 * NS_PER_MS)
    cpu.sleep()
    cpu.run(2 * TICK_NS - cpu.now + SLICE_NS)
    assert queue_of(cpu.jobs, KSWAPD) == SLEEPS
    assert cpu.jobs.lag[KSWAPD] == 0
    cpu.wake(KSWAPD)
    assert cpu.task == KSWAPD


def test_nobody_runs_when_all_sleep(cpu):
    cpu.run(SLICE_NS)
    cpu.sleep()
    assert cpu.task == NOBODY
    cpu.wake(KSWAPD)
    assert cpu.task == KSWAPD
