"""Predict the balloon's hints in a recorded guest, block by block.

The recorded guest is replayed at buddy level up to the moment when the mechanism began.  From
there the model's lists and the mechanism's own verbs say which blocks it took, in which order,
and where it stopped.  Nothing is fitted.  If a recording lacks something that a prediction
needs, the reason is given with its name.
"""

from itertools import groupby, takewhile, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.proc import parse_pagetypeinfo
from freehint.formats.tables import pageblocks
from freehint.formats.traces.recording import Recording, load_recording
from freehint.inputs.reading import exists, json_of, read_bytes, unpacked
from freehint.mm.memory import MAX_ORDER, UNMOVABLE, Memory, page_zone, zone_name
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.drive import Drive
from freehint.policies.policy import Policy
from freehint.replay.prediction import Advance, Prediction, without_t0

HINT_GFP = {"__GFP_NOWARN", "__GFP_NORETRY", "__GFP_NOMEMALLOC"}
OWN_ROWS = 16  # most rows that one allocation writes before its mm_page_alloc row
HINT_COLUMNS = ("recording", "pass", "position", "predicted_pfn", "measured_pfn")


# The balloon's hints


def predict_hints(stem, policy: Policy | None = None) -> Prediction:
    """Predict the first pass of the balloon's hints in a recorded migration.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 and NAME.trace; NAME.migration.json.gz tells whether hints were
        on, and has the text of /proc/pagetypeinfo after the migration.
    policy : Policy, optional
        Another mechanism than balloon_alloc, to show that it fails.

    Returns
    -------
    Prediction
        Its rows have HINT_COLUMNS.
    """
    if (missing := without_t0(stem)) is not None:
        return missing
    policy = policy or BalloonAlloc()
    recording = load_recording(stem, need_t1=False)
    record = _migration_record(stem)
    hints, begin = _recorded_hints(recording)
    measured = [int(pfn) for pfn in recording.trace["pfn"].iloc[hints]]
    advance = Advance(recording)
    advance.to(begin)
    before = _unmovable(advance.memory)
    predicted = []
    if record.get("hint") != "off":
        predicted = _play_hints(policy, advance.memory)
    pairs = zip_longest(predicted, measured, fillvalue=-1)
    name = recording.stem.name
    return Prediction(
        name,
        blocks=[(name, 1, position, *pair) for position, pair in enumerate(pairs)],
        facts={
            "hint": record.get("hint", "not told"),
            "predicted": _runs(advance.memory, predicted),
            "measured": _runs(advance.memory, measured),
            "UNMOVABLE pageblocks": _unmovable_facts(before, advance.memory, record, stem),
        },
        good=predicted == measured,
    )


def _migration_record(stem) -> dict:
    path = Path(f"{stem}.migration.json.gz")
    if not exists(path):
        return {}
    record = json_of(unpacked(read_bytes(path), path), path)
    if not isinstance(record, dict) or record.get("hint") not in ("on", "off"):
        hint = record.get("hint") if isinstance(record, dict) else record
        raise InputError(f"{path}: field 'hint' must be 'on' or 'off', got {hint!r:.80}")
    return record


def _recorded_hints(recording: Recording):
    """The rows of the first pass's allocations, and the row at which the first one began."""
    trace = recording.trace
    gfp = trace["gfp"].astype(str)
    asks = {text: set(text.split("|")) == HINT_GFP for text in gfp.unique()}
    balloon = (
        (trace["event"] == "mm_page_alloc")
        & (trace["order"] == MAX_ORDER - 1)
        & trace["comm"].astype(str).str.startswith("kworker")
        & gfp.map(asks)
    )
    found = np.flatnonzero(balloon)
    failed = np.flatnonzero(trace["pfn"].to_numpy()[found] == 0)
    first_pass = found[: failed[0]] if len(failed) else found
    begin = _begin_of_allocation(trace, int(found[0])) if len(found) else 0
    return first_pass, begin


def _begin_of_allocation(trace: pd.DataFrame, row: int) -> int:
    """The first row of the allocation that returned its block in ``row``."""
    low = max(row - OWN_ROWS, 0)
    rows_before, returned = trace.iloc[low:row], trace.iloc[row]
    own = rows_before["event"].isin(["mm_page_alloc_zone_locked", "mm_page_alloc_extfrag"])
    for column in ("pid", "pfn", "order"):
        own &= rows_before[column] == returned[column]
    return low + int(np.argmax(own)) if own.any() else row


def _play_hints(policy: Policy, memory: Memory) -> list[int]:
    """The pfns of one pass, in a guest that does nothing else, with a ring that never fills."""
    strokes = takewhile(lambda stroke: stroke.rows, Drive(policy, memory))
    return [node + memory.base_pfn for stroke in strokes for node, _ in stroke.rows]


def _runs(memory: Memory, pfns) -> str:
    """The number of blocks from each zone, in order: ``190 DMA32, 2 DMA``."""
    zones = [zone_name(memory, page_zone(memory, pfn - memory.base_pfn)) for pfn in pfns]
    return ", ".join(f"{len(list(run))} {zone}" for zone, run in groupby(zones)) or "none"


def _unmovable(memory: Memory) -> dict:
    table = pageblocks(memory)
    mine = table[table["migratetype"] == UNMOVABLE]["zone"].value_counts()
    return {str(zone): int(count) for zone, count in mine.items()}


def _unmovable_facts(before: dict, memory: Memory, record: dict, stem) -> str:
    """Per zone, the number before and after the model's pass, and the guest's own one later."""
    after, told = _unmovable(memory), {}
    if "pagetypeinfo_after" in record:
        lines = str(record["pagetypeinfo_after"]).splitlines()
        _, blocks = parse_pagetypeinfo(lines, f"{stem}.migration.json.gz")
        told = {zone: int(counts[UNMOVABLE]) for zone, counts in blocks.items()}
    zones = [zone_name(memory, zone) for zone in range(len(memory.zones))]
    return ", ".join(
        f"{zone} {before.get(zone, 0)} -> {after.get(zone, 0)} (told {told.get(zone, '-')})"
        for zone in zones
    )
