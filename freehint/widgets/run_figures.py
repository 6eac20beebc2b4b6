"""The figures of a run that panels show, by name."""

from freehint import figures
from freehint.runs.run import readable
from freehint.runs.tables.compare import summaries
from freehint.studies.parking import by_cause, last_parks
from freehint.units import MIB, NS_PER_MS, PAGE_SIZE, micro


def headline(run) -> str:
    """The main numbers of a run in one line."""
    if "sent_bytes" in run.summary:
        return _migration_headline(run.summary)
    if "parks" in run.summary:
        return _park_headline(run.summary)
    facts = readable(run)
    names = ("coverage", "survival", "walk took", "lock held max", "allocation wait max")
    numbers = [f"{name}: {facts[name]}" for name in names]
    return micro("     ".join([run.summary["policy"], *numbers]))


def _migration_headline(summary) -> str:
    if summary["total_ns"] < 0:
        return f"migration: {summary['migration']}"
    sent, took = summary["sent_bytes"] / 1e6, summary["total_ns"] / 1e9
    moved = summary["migrated_pages"]
    return f"sent: {sent:,.0f} MB     took: {took:.1f} s     pages moved by compaction: {moved:,}"


def _park_headline(summary) -> str:
    if not summary["parks"]:
        return "the run ends before the guest is restored"
    stored, stranded = (
        summary[name] * MIB / PAGE_SIZE for name in ("stored_bytes", "stranded_bytes")
    )
    park, restore = (summary[name] / NS_PER_MS for name in ("park_ns", "restore_ns"))
    told = [
        f"snapshot: {stored:,.0f} MiB, {stranded:,.0f} of them free",
        f"parking took: {park:,.0f} ms",
        f"restore took: {restore:,.0f} ms",
        f"pages lost in it: {summary['park_lost_pages']:,}",
    ]
    return "     ".join(told)


def draw_run(run, panels, span_ns: int):
    """Draw a run as one figure of named panels."""
    rows = (len(panels) + 1) // 2
    figure, axes = figures.quick_figure(
        13, 3.6 * rows, rows, min(2, len(panels)), left=0.06, right=0.985,
        top=1 - 0.39 / rows / 1.8, bottom=0.16 / rows, hspace=0.36, wspace=0.16,
    )  # fmt: skip
    for name, ax in zip(panels, figures.every(axes), strict=True):
        title, draw = PANELS[name]
        draw(run, ax, span_ns)
        if title:
            ax.set_title(title, loc="left", fontsize=10)
    figure.suptitle(headline(run), x=0.06, ha="left", fontsize=11)
    return figure


def _lists(run, ax, _span_ns):
    figures.free_by_order(run.memory, ax)
    on_pcp = run.memory.pcp["count"].sum() * MIB
    ax.set_title(
        f"the free lists at the end, and {on_pcp:.0f} MiB on pcp lists", loc="left", fontsize=10
    )


def _walk(run, ax, span_ns):
    figures.walk_map(run.reports, ax, span_ns)


def _lock(run, ax, span_ns):
    figures.lock_timeline(run.locks, run.waits, ax, span_ns)


def _balance(run, ax, _span_ns):
    figures.hint_balance(summaries([run]), ax)


def _hints(run, ax, _span_ns):
    figures.hints_over_time(run.reports, ax)


def _fate(run, ax, _span_ns):
    figures.pages_by_fate(summaries([run]).set_axis([""]), ax)


def _dirty(run, ax, _span_ns):
    figures.dirty_at_each_sync({run.summary["policy"]: run.rounds}, ax)


def _orders(run, ax, _span_ns):
    figures.blocks_by_order(run.reports, ax)


def _longer(run, ax, _span_ns):
    figures.longer_than(
        {
            "a stroke held the lock": run.locks["held_ns"],
            "an operation waited": run.waits["wait_ns"],
        },
        ax,
    )


def _stranded(run, ax, _span_ns):
    if not len(run.parks):
        ax.set_axis_off()  # the headline says why
        return
    figures.stranded_by_cause(by_cause({"": run}), ax)
    ax.set(xlabel="memory in the snapshot (MiB)", yticks=())


def _resume(run, ax, _span_ns):
    if not len(run.parks):
        ax.set_axis_off()
        return
    figures.time_to_resume(last_parks({"": run}), ax)
    ax.set_yticks(())


PANELS = {
    "walk": ("where the walk went", _walk),
    "lock": ("the zone lock", _lock),
    "lists": ("", _lists),
    "balance": ("", _balance),
    "hints": ("told to the host", _hints),
    "fate": ("", _fate),
    "dirty": ("pages newly dirty at each sync", _dirty),
    "orders": ("blocks offered to the ring", _orders),
    "stranded": ("", _stranded),
    "resume": ("", _resume),
    "longer": ("how many events lasted longer", _longer),
}
