"""The turn of the CPU: a bit of work of the task that has it.

The tasks are the job, kswapd and kcompactd (:mod:`freehint.engine.guest.pressure.sharing`).  All
wait while a policy's stroke holds a zone lock.
"""

from freehint.engine.guest.pressure.cache import flush_all, note_io
from freehint.engine.guest.pressure.kcompactd import kcompactd_is_due, kcompactd_turn
from freehint.engine.guest.pressure.pages import price_compaction, price_reclaim
from freehint.engine.guest.pressure.sharing import account, sleep_task, wake_task
from freehint.engine.guest.pressure.stolen import taken_away
from freehint.engine.guest.pressure.work import job_step
from freehint.engine.guest.waiting import end_wait, wait_for_release
from freehint.engine.world.clock import ACTOR_BITS, schedule, suspend
from freehint.engine.world.content import pay_faults
from freehint.engine.world.jobs import JOB, KCOMPACTD, KSWAPD, L_STALL_NS, L_STALLS
from freehint.engine.world.records import WAIT_ALLOC
from freehint.jit import kernel
from freehint.mm.memory import CALLED
from freehint.mm.reclaim.kswapd import NAP_NS, kswapd_step


@kernel(cold=True)
def write_stall(world, now_ns):
    """A stall of the job that is over, as a row of the waits and in the log of its step."""
    jobs, state = world.jobs, world.jobs.state[0]
    if state.stall_ns == 0 or world.reclaim.node[0].reclaiming:
        return
    log = jobs.log[min(state.step, jobs.step.shape[0] - 1)]
    log[L_STALLS] += 1
    log[L_STALL_NS] += now_ns - state.stall_from
    world.cpu[0].wait_since = state.stall_from
    end_wait(world, 0, 0, state.stall_kind, now_ns, now_ns)
    state.stall_ns = state.paid_ns = 0


@kernel(cold=True)
def wake_who_may(world, now_ns):
    """Wake the tasks that have something to do again."""
    jobs, state, node = world.jobs, world.jobs.state[0], world.reclaim.node[0]
    if node.kswapd_awake:
        wake_task(jobs, KSWAPD, now_ns)
    if kcompactd_is_due(world, now_ns):
        wake_task(jobs, KCOMPACTD, now_ns)
    if now_ns >= state.ready_ns and not state.waits_io and not is_over(world):
        wake_task(jobs, JOB, now_ns)


@kernel(cold=True)
def task_step(world, task, now_ns):
    """A bit of work of a task; return the time in ns, and whether it has no more for now."""
    if task == KSWAPD:
        more = kswapd_step(world.memory, world.reclaim, 0)
        spent = price_reclaim(world)
        if not more:
            world.jobs.state[0].nap_at = now_ns + spent + NAP_NS
        return spent, not more
    if task == KCOMPACTD:
        more = kcompactd_turn(world, now_ns)
        return price_compaction(world), not more
    state = world.jobs.state[0]
    spent = job_step(world, now_ns)
    spent += state.stall_ns - state.paid_ns
    state.paid_ns = state.stall_ns
    return spent, is_over(world) or state.waits_io > 0 or state.ready_ns > now_ns + spent


@kernel
def is_over(world):
    """Are all jobs done?"""
    state = world.jobs.state[0]
    return state.step == world.jobs.step.shape[0] and state.oom_of == 0


@kernel
def plan_threads(world):
    """Let the actor of the kernel threads act earlier if a task has given the disk work."""
    state, threads = world.jobs.state[0], world.cpu.shape[0]
    due_ns = min(state.io_at, state.flush_at, state.nap_at)
    if due_ns < world.key[threads] >> ACTOR_BITS:
        schedule(world, threads, due_ns)


@kernel
def pressure_event(world, cpu, now_ns):
    """The turn of the CPU."""
    jobs, state = world.jobs, world.jobs.state[0]
    write_stall(world, now_ns)
    if world.state[0].locked_zones:
        wait_for_release(world, cpu, now_ns)
        return
    if world.cpu[cpu].wait_since >= 0:
        end_wait(world, cpu, 0, WAIT_ALLOC, now_ns, now_ns)
        schedule(world, cpu, now_ns)
        return
    wake_who_may(world, now_ns)
    task = state.task
    if task < 0:
        if state.ready_ns > now_ns and not state.waits_io:
            schedule(world, cpu, state.ready_ns)
        else:
            suspend(world, cpu)
        return
    spent, sleeps = task_step(world, task, now_ns)
    spent = (spent + state.interrupts_ns) * state.slow // 1000
    state.interrupts_ns = 0
    spent += pay_faults(world)
    spent += taken_away(jobs, spent)
    note_io(world, now_ns)
    if world.reclaim.node[0].flusher_wanted:
        world.reclaim.node[0].flusher_wanted = 0
        flush_all(world, now_ns)
    account(jobs, task, spent, now_ns + spent)
    if sleeps:
        sleep_task(jobs, task, now_ns + spent)
    if world.memory.notify[CALLED] != 0 or world.state[0].starving > 0:
        suspend(world, cpu)  # until the policies have been asked
    else:
        schedule(world, cpu, now_ns + spent)
    plan_threads(world)
