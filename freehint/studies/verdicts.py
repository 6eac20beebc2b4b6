"""Who was right?  One row for each dispute of January 2018, decided by runs.

A verdict has words for a difference above 0 and for one below 0; an interval that holds 0 is called
"no difference seen".  So no verdict can outlive its number.  DISPUTES holds the rows; each stands
alone and can be changed alone.
"""

from dataclasses import replace

import pandas as pd

from freehint.config import one_of
from freehint.policies import BASELINE
from freehint.policies.call_walker import CallWalker
from freehint.policies.five_step import FiveStep
from freehint.studies.disputes import (
    ASKING_ROTATION,
    ASSUMED,
    CURSOR,
    PREDICTED,
    SCAN,
    SIMULATED,
    V24,
    Dispute,
    Setting,
    checked_seeds,
    coverage,
    guest_work,
    longest_wait,
    lost,
    rotation_of_a_part,
    rotation_of_a_whole_walk,
    sent,
    sent_twice,
    slowdown,
    spread,
    stale,
)
from freehint.sweeps.paired import amount

DISPUTES = (
    Dispute(
        dispute="rotation of a partial walk",
        claim='Tsirkin: "keeping pages freed by host near head of the list looks kind of wrong";'
        ' Wang: "I\'m not sure how this would help"',
        measure="hints still good after 128 MiB of new memory, with rotation minus without",
        unit="points",
        evidence=f"{PREDICTED}, {len(ASKING_ROTATION)} recordings",
        limits="walks that begin at the head each time; two pairs of recordings share a guest;"
        " the same demand is assumed",
        chapter="14_the_thread_on_a_real_kernel",
        knob="rotate",
        changed="on_exit",
        base="never",
        above="Tsirkin: rotated hints live longer",
        below="Wang: rotation does not help, it harms",
        find=rotation_of_a_part,
    ),
    Dispute(
        dispute="rotation of a whole walk",
        claim='Wang: "I\'m not sure how this would help"',
        measure="survival at equal guest work, with rotation minus without",
        unit="points",
        evidence=SIMULATED,
        limits="one recorded 4 GiB guest, 200 ms",
        chapter="03_rotation",
        knob="rotate",
        changed=replace(CURSOR, name="rotates", rotate="on_exit"),
        base=replace(CURSOR, name="never rotates"),
        above="Tsirkin: rotation helps whole walks too",
        below="Wang: rotation does not help, it harms",
        find=rotation_of_a_whole_walk,
        least=0.5,
    ),
    Dispute(
        dispute="restart and cursor",
        claim='Tsirkin: "it is not restarteable: if you return false, you start from the'
        ' beginning"; Wang: "where could we continue?"',
        measure="coverage, going on at a bookmark minus beginning again",
        unit="points",
        evidence=SIMULATED,
        limits="strokes of 32 blocks that a full ring stops; a 1 GiB guest, 200 ms",
        chapter="04_the_cursor",
        knob="resume",
        changed=replace(CURSOR, name="cursor"),
        base=replace(CURSOR, name="restart", resume="restart"),
        above="Tsirkin: a walk that cannot go on misses memory; a bookmark answers Wang",
        below="Wang: nothing is lost by beginning again",
        find=coverage,
    ),
    Dispute(
        dispute="A and only A",
        claim="Tsirkin: \"what to do if A and only A has been consumed. We don't want B to be sent"
        " twice ideally. OTOH maybe that isn't a big deal\"",
        measure="hinted memory sent twice, a lap that keeps its length minus a lap that shrinks",
        unit="points",
        evidence=SIMULATED,
        limits="96 blocks every 3 ms; the end of a lap is our reading of the mail",
        chapter="14_the_thread_on_a_real_kernel",
        knob="lap",
        changed=CallWalker("lap as long", lap="always", **SCAN),
        base=CallWalker("lap shrinks", lap="shrinks", **SCAN),
        above="Tsirkin: B is sent twice if A is gone",
        below="nobody: a lap that shrinks sends more twice",
        find=sent_twice,
    ),
    Dispute(
        dispute="hold the lock: bytes",
        claim='Tsirkin: "hold a lock and just block whoever wanted to use any pages. Yes we are'
        ' sending hints faster"',
        measure="sent in the loaded migration, waiting under the lock minus coming back later",
        unit="MB",
        evidence=ASSUMED,
        limits="500 MB/s, a ring of 64, a host that is away 30 ms; a 1 GiB guest, 256 MiB/s",
        chapter="09_live_migration",
        knob="on_full",
        changed=replace(CURSOR, name="waits", on_full="wait"),
        base=replace(CURSOR, name="comes back"),
        above="holding the lock costs bytes",
        below="Tsirkin: holding the lock sends fewer bytes",
        find=sent,
    ),
    Dispute(
        dispute="hold the lock: waits",
        claim='Tsirkin: "holding the lock is interfering with this something"',
        measure="longest wait of an allocation, waiting under the lock minus coming back later",
        unit="ms",
        evidence=ASSUMED,
        limits="a host that is away 10 ms; a recorded 4 GiB guest with four CPUs",
        chapter="05_hold_the_lock",
        knob="on_full",
        changed=replace(CURSOR, name="waits", on_full="wait"),
        base=replace(CURSOR, name="comes back"),
        above="Tsirkin: allocations wait for the host",
        below="holding the lock shortens waits",
        find=longest_wait,
    ),
    Dispute(
        dispute="hold the lock: guest work",
        claim='Tsirkin: "holding the lock is interfering with this something"',
        measure="allocations done in 200 ms, waiting under the lock minus coming back later",
        unit="%",
        evidence=ASSUMED,
        limits="a host that is away 10 ms; a recorded 4 GiB guest with four CPUs",
        chapter="05_hold_the_lock",
        knob="on_full",
        changed=replace(CURSOR, name="waits", on_full="wait"),
        base=replace(CURSOR, name="comes back"),
        above="holding the lock lets the guest do more",
        below="Tsirkin: the guest gets less done",
        find=guest_work,
    ),
    Dispute(
        dispute="five steps",
        claim='Tsirkin: "take pages off the free list .. readd to free list at tail"; Wang: "what'
        ' would be the difference compared to walking through the free list"',
        measure="stale hints, blocks taken off their lists minus blocks rotated in place",
        unit="MiB",
        evidence=SIMULATED,
        limits="both put blocks at the tail, 32 in a stroke; a host that is away 10 ms",
        chapter="06_five_steps",
        knob="taken off the list",
        changed=FiveStep(name="five steps", on_full="stop"),
        base=replace(CURSOR, name="in place", rotate="each_report"),
        above="Wang: the walk does as well or better",
        below="Tsirkin: fewer hints are stale",
        find=stale,
    ),
    Dispute(
        dispute="full ring",
        claim='Wang: "in practice, the virtqueue won\'t be full as the host side is faster"',
        measure="offered memory lost, a ring of 1,024 minus one that cannot fill",
        unit="points",
        evidence=ASSUMED,
        limits="v24 with a host that is never away; a recorded 4 GiB guest, all orders hinted",
        chapter="07_the_ring",
        knob="ring.size",
        changed=1024,
        base=32768,
        above="Tsirkin: the ring fills, although the host is never away",
        below="a small ring loses less",
        find=lost,
    ),
    Dispute(
        dispute="high orders first",
        claim='Tsirkin: "It would be more convincing if we sent e.g. higher order pages first";'
        ' Wang: "we\'ve already sent higher order pages first"',
        measure="offered memory lost, high orders first minus low orders first",
        unit="points",
        evidence=ASSUMED,
        limits="v24, a ring of 1,024, a host that is away 3 ms; a recorded 4 GiB guest",
        chapter="07_the_ring",
        knob="order",
        changed=replace(V24, name="high first"),
        base=replace(V24, name="low first", order="low_first"),
        above="neither: low orders first lose less",
        below="both: high orders first lose less",
        find=lost,
    ),
    Dispute(
        dispute="slowdown afterwards",
        claim='Tsirkin: "we are laser focused on just how long does it take to migrate ignoring'
        ' e.g. slowdowns after migration"',
        measure="work in the 400 ms after the switch-over, with v24's hints minus without",
        unit="%",
        evidence=ASSUMED,
        limits="2 µs for each fault; a young 512 MiB guest; the host's own reclaim is not modelled",
        chapter="11_after_the_migration",
        knob="hints",
        changed=V24,
        base=BASELINE,
        above="the guest is faster afterwards",
        below="Tsirkin: the guest is slower afterwards",
        find=slowdown,
    ),
    Dispute(
        dispute="which benchmark",
        claim='Tsirkin: "Can we maybe agree on what kind of benchmark makes sense"; Wang: "the'
        ' time of linux compilation during migration? or what benchmark do you have in mind?"',
        measure="spread of bytes sent between four policies, a guest that works minus one at rest",
        unit="MB",
        evidence=SIMULATED,
        limits="policies that lose no hint; one load of two; the compile is in its own chapter",
        chapter="compile",
        knob="workload.state",
        changed="churn",
        base="freed",
        above="a guest that works: at rest the policies look alike",
        below="a guest at rest tells more",
        find=spread,
    ),
)


def verdicts(seeds=range(1, 11), disputes=None, kernel=None, scale=None) -> pd.DataFrame:
    """Who was right in the disputes of January 2018, by how much, and how sure that is.

    Parameters
    ----------
    seeds : sequence of int
        Each gives one difference; a single one gives no interval.
    disputes : sequence of str, optional
        Names of disputes; by default all.
    kernel : str, optional
        The kernel whose rules the simulated guests follow, as in :class:`freehint.Scenario`; None
        keeps those that their memory came with.  A dispute that recorded demand decides is
        undecided by the rules of another kernel.
    scale : dict, optional
        Factors for costs of every simulated guest, such as ``{"costs.lock_ns": 2}``, to see which
        verdicts hang on a number that is assumed; see :func:`freehint.cost_sources`.

    Returns
    -------
    DataFrame
        One row for each dispute: dispute, claim (a quotation), verdict (who was right, in words
        that follow from the number), measure, value (mean difference), half_width (of its 95 %
        interval, nan for a single seed), seeds (the number of pairs), unit, evidence ("exact
        prediction" of recorded demand, "simulation", with "assumed cost" where a cost decides),
        limits, chapter (the notebook that makes the number).

    Raises
    ------
    InputError
        There is no such dispute, kernel or cost, or a factor is out of range; the seeds are none,
        no whole numbers, or not all different.

    Examples
    --------
    >>> import freehint as fh
    >>> fh.verdicts(seeds=[1, 2], disputes=["five steps"])["chapter"].tolist()
    ['06_five_steps.ipynb']
    """
    seeds = checked_seeds(seeds)
    known = {one.dispute: one for one in DISPUTES}
    for name in disputes if disputes is not None else ():
        one_of("disputes", name, known)
    setting = Setting(kernel, scale)
    names = known if disputes is None else disputes
    return pd.DataFrame([known[name].row(seeds, setting) for name in names])


def readable_verdicts(table: pd.DataFrame, links: bool = True) -> pd.DataFrame:
    """The verdicts for people: the number with its interval and unit, and the chapter's link.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`verdicts`.
    links : bool
        Whether the chapter is a link, in HTML; otherwise its name.
    """
    numbers = [amount(row.value, row.half_width, row.unit) for row in table.itertuples()]
    chapters = [name.removesuffix(".ipynb") for name in table["chapter"]]
    if links:
        chapters = [f'<a href="{name}.ipynb">{name}</a>' for name in chapters]
    columns = {"who was right": table["verdict"], "number (95 %)": numbers, "of": table["measure"]}
    columns |= {"pairs": table["seeds"], "evidence": table["evidence"], "limits": table["limits"]}
    columns |= {"said": table["claim"], "chapter": chapters}
    return pd.DataFrame(columns).set_index(table["dispute"].rename("dispute"))
