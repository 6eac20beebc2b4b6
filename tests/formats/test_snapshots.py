"""Recordings load exactly as they were recorded, or are refused in one clear sentence."""

import json
import os
import random
import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehint.config import InputError
from freehint.data import data
from freehint.formats.boot import make_memory
from freehint.formats.snapshot_out import save_snapshot
from freehint.formats.snapshots import load_snapshot
from freehint.formats.tables import free_lists, pageblocks, pcp_lists
from freehint.mm.check import check_memory
from freehint.mm.memory import ISOLATE, frame_type
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reference.check import verify
from freehint.mm.reference.convert import from_memory, same_lists
from memories import SETTINGS, examples

ROOT = Path(__file__).parents[2]
GROUND_TRUTH = ROOT.parent / "shared" / "ground-truth"
TABLES = {"freelist": free_lists, "pcp": pcp_lists, "pageblock": pageblocks}
SUFFIXES = ("freelist.parquet", "pcp.parquet", "pageblock.parquet", "meta.json")


def stems_in(folder: Path) -> list[Path]:
    """Every NAME.T0 and NAME.T1 below a folder."""
    return sorted(
        p.with_name(p.name.removesuffix(".meta.json")) for p in folder.rglob("*.T?.meta.json")
    )


def part(stem, suffix: str) -> Path:
    """One of a recording's four files."""
    return Path(f"{stem}.{suffix}")


def assert_loads_as_recorded(stem: Path) -> None:
    memory = load_snapshot(stem)
    check_memory(memory)
    for name, tables in TABLES.items():
        recorded = pq.read_table(part(stem, f"{name}.parquet")).to_pandas()
        ours = tables(memory)
        assert (ours["zone"].astype(str) == recorded["zone"].astype(str)).all()
        # 6.12 was recorded with other integer widths.
        pd.testing.assert_frame_equal(
            ours.drop(columns="zone"), recorded.drop(columns="zone"), check_dtype=False
        )
    meta = json.loads(part(stem, "meta.json").read_text())
    assert memory.nr_free.sum(axis=2).tolist() == [zone["nr_free"] for zone in meta["zones"]]
    free = memory.zones.nr_free_pages - memory.zones.free_pages_offset
    counted = [z.get("free_pages_on_lists", z["nr_free_pages_stat"]) for z in meta["zones"]]
    assert free.tolist() == counted
    assert not memory.nr_free[:, :, ISOLATE].any()
    assert memory.profile == (LINUX_6_12 if meta["kernel"].startswith("6.12") else LINUX_6_1)


KERNELS = ("linux-6.1", "linux-6.12")
SAMPLES = [stem for kernel in KERNELS for stem in stems_in(data(kernel))]


@pytest.mark.parametrize(
    "stem", SAMPLES, ids=lambda s: f"{s.parent.parent.name}/{s.parent.name}/{s.name}"
)
def test_sample_data_loads_as_recorded(stem):
    assert_loads_as_recorded(stem)


def test_there_are_samples():
    assert len(stems_in(data("linux-6.1"))) >= 15
    assert len(stems_in(data("linux-6.12"))) == 22


def test_every_recording_of_both_kernels_loads_as_recorded():
    if not GROUND_TRUTH.is_dir():
        reason = f"the recordings are not in {os.path.relpath(GROUND_TRUTH, ROOT)}"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    for kernel, at_least in zip(KERNELS, (20, 26), strict=True):
        stems = stems_in(GROUND_TRUTH / kernel)
        assert len(stems) >= at_least
        for stem in stems:
            assert_loads_as_recorded(stem)


@pytest.mark.parametrize("name", ["linux-6.1/traces/fork.T0", "linux-6.12/traces/forkbulk.T0"])
def test_a_twin_of_a_recording_has_the_same_lists(name):
    memory = load_snapshot(data(name))
    twin = from_memory(memory)
    verify(twin)
    assert same_lists(twin, memory)
    twin.zones[1].free_list[10, 1].reverse()
    assert not same_lists(twin, memory)


def test_reported_flags_are_kept():
    stem = data("linux-6.1/reporting/fpr_fill.T1")
    recorded = pq.read_table(part(stem, "freelist.parquet")).to_pandas()["reported"]
    assert free_lists(load_snapshot(stem))["reported"].tolist() == recorded.tolist()
    assert 0 < recorded.sum() < len(recorded)


def test_a_folder_with_an_equals_sign_is_only_a_folder(tmp_path):
    # Arrow takes such names for partitions of a data set, with columns of their own.
    folder = tmp_path / "order=3"
    folder.mkdir()
    assert_loads_as_recorded(copy_recording(folder))


# What must be refused.


def copy_recording(folder: Path) -> Path:
    """A small sound recording to be damaged."""
    for suffix in SUFFIXES:
        shutil.copy(part(data("linux-6.1/traces/idle20.T0"), suffix), folder)
    return folder / "idle20.T0"


@pytest.fixture
def stem(tmp_path):
    return copy_recording(tmp_path)


def assert_refused(stem, path, *words) -> None:
    """One sentence that names the file, and has all these words in it."""
    with pytest.raises(InputError) as error:
        load_snapshot(stem)
    sentence = str(error.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    # The folder's name has digits of its own.
    sentence = sentence.replace(str(Path(path).parent), "")
    for word in words:
        assert str(word) in sentence


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_refused(stem, suffix):
    part(stem, suffix).unlink()
    assert_refused(stem, part(stem, suffix), "there is no such file")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_instead_of_a_file_is_refused(stem, suffix):
    part(stem, suffix).unlink()
    part(stem, suffix).mkdir()
    assert_refused(stem, part(stem, suffix))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(stem, suffix, share):
    whole = part(stem, suffix).read_bytes()
    part(stem, suffix).write_bytes(whole[: int(len(whole) * share)])
    assert_refused(stem, part(stem, suffix), "this is not whole")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("frame", [b"", b"PAR1"])
def test_garbage_is_refused(stem, suffix, frame):
    part(stem, suffix).write_bytes(frame + random.Random(1).randbytes(5000) + frame)
    assert_refused(stem, part(stem, suffix), "this is not whole")


def with_cell(table: str, row: int, column: str, value):
    """Change one cell; ``value`` may be a function of the table."""

    def edit(stem):
        path = part(stem, f"{table}.parquet")
        frame = pd.read_parquet(path).astype({"zone": str})
        value_now = value(frame) if callable(value) else value
        if not isinstance(value_now, str):
            frame[column] = frame[column].astype(np.int64)
        frame.loc[row, column] = value_now
        frame.to_parquet(path)
        return path, column, value_now

    return edit


def rows_of(frame, **wanted):
    """Index of the rows with these values."""
    good = np.logical_and.reduce([frame[name] == value for name, value in wanted.items()])
    return frame.index[good]


def pfn_of(nth: int, **wanted):
    """The pfn of the nth row with these values."""
    return lambda frame: int(frame.loc[rows_of(frame, **wanted)[nth], "pfn"])


IDLE20 = data("linux-6.1/traces/idle20.T0")
FREE = pd.read_parquet(part(IDLE20, "freelist.parquet")).astype({"zone": str})
FIRST_10, *_, LAST_10 = rows_of(FREE, zone="DMA32", order=10, migratetype=1)
LAST_PCP = rows_of(pd.read_parquet(part(IDLE20, "pcp.parquet")), pindex=1)[-1]
FIRST_0 = rows_of(FREE, zone="DMA32", order=0)[0]
A_LARGE_BLOCK = int(FREE.loc[FIRST_10, "pfn"])

CELLS = {
    "block before its zone": with_cell("freelist", FIRST_10, "pfn", 1024),
    "block behind its zone": with_cell("freelist", FIRST_10, "pfn", 262144),
    "block far away": with_cell("freelist", FIRST_10, "pfn", (1 << 32) - 1024),
    "block reaching over the end": with_cell("freelist", FIRST_10, "pfn", 261120),
    "negative pfn": with_cell("freelist", FIRST_10, "pfn", -1024),
    "block listed twice": with_cell(
        "freelist", FIRST_10, "pfn", pfn_of(1, zone="DMA32", order=10, migratetype=1)
    ),
    "block inside a larger one": with_cell("freelist", FIRST_0, "pfn", A_LARGE_BLOCK + 77),
    "block at the start of a larger one": with_cell("freelist", FIRST_0, "pfn", A_LARGE_BLOCK),
    "block that is not aligned": with_cell("freelist", FIRST_10, "pfn", A_LARGE_BLOCK + 1),
    "negative order": with_cell("freelist", 3, "order", -1),
    "order too large": with_cell("freelist", 3, "order", 11),
    "order absurdly large": with_cell("freelist", 3, "order", 1 << 40),
    "unknown migratetype": with_cell("freelist", 3, "migratetype", 5),
    "negative migratetype": with_cell("freelist", 3, "migratetype", -1),
    "unknown zone": with_cell("freelist", 3, "zone", "HighMem"),
    "zone this guest has not": with_cell("freelist", 3, "zone", "Normal"),
    "gap in the positions": with_cell("freelist", LAST_10, "position", 5000),
    "position twice": with_cell("freelist", FIRST_10, "position", 1),
    "negative position": with_cell("freelist", FIRST_10, "position", -1),
    "pcp page that is free": with_cell("pcp", 7, "pfn", A_LARGE_BLOCK + 5),
    "pcp page listed twice": with_cell("pcp", 7, "pfn", lambda f: int(f.loc[8, "pfn"])),
    "pcp page outside its zone": with_cell("pcp", 7, "pfn", 5),
    "pcp list of another order": with_cell("pcp", 7, "order", 1),
    "pcp list unknown": with_cell("pcp", 7, "pindex", 14),
    "pcp list negative": with_cell("pcp", 7, "pindex", -1),
    "cpu that is not there": with_cell("pcp", 7, "cpu", 1),
    "negative cpu": with_cell("pcp", 7, "cpu", -1),
    "pcp zone unknown": with_cell("pcp", 7, "zone", "dma32"),
    "pcp position gap": with_cell("pcp", LAST_PCP, "position", 9999),
    "pcp type not of its list": with_cell("pcp", 7, "migratetype", 9),
    "pageblock type unknown": with_cell("pageblock", 9, "migratetype", 5),
    "pageblock type negative": with_cell("pageblock", 9, "migratetype", -1),
    "pageblock elsewhere": with_cell("pageblock", 9, "block", 1 << 33),
    "pageblock not at its pfn": with_cell("pageblock", 9, "start_pfn", 12345),
    "pageblock zone unknown": with_cell("pageblock", 9, "zone", ""),
    "skip not 0 or 1": with_cell("pageblock", 9, "skip", 2),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_wrong_cell_is_refused_with_file_field_and_value(stem, case):
    assert_refused(stem, *CELLS[case](stem))


def test_a_pageblock_listed_twice_is_refused(stem):
    path = rewrite(stem, "pageblock", lambda frame: frame.iloc[[*range(len(frame)), 10]])
    assert_refused(stem, path, "block 10 ", "twice")


def test_a_pageblock_of_another_zone_is_refused(stem):
    path = part(stem, "pageblock.parquet")
    frame = pd.read_parquet(path).astype({"zone": str})
    frame.loc[500, "zone"] = "DMA"
    frame.to_parquet(path)
    assert_refused(stem, path, "block 500", "zone")


def test_a_free_block_without_its_pageblock_is_refused(stem):
    path = part(stem, "pageblock.parquet")
    frame = pd.read_parquet(path)
    frame[frame["block"] != A_LARGE_BLOCK >> 9].to_parquet(path)
    assert_refused(stem, part(stem, "freelist.parquet"), "pfn", A_LARGE_BLOCK, "hole")


def test_a_block_whose_second_pageblock_is_a_hole_is_refused(stem):
    path = part(stem, "pageblock.parquet")
    frame = pd.read_parquet(path)
    frame[frame["block"] != (A_LARGE_BLOCK >> 9) + 1].to_parquet(path)
    assert_refused(stem, part(stem, "freelist.parquet"), "pfn", A_LARGE_BLOCK, "hole")


@pytest.mark.parametrize("value", [2, -1])
def test_reported_is_0_or_1(stem, value):
    path = part(stem, "freelist.parquet")
    pd.read_parquet(path).assign(reported=0).to_parquet(path)
    load_snapshot(stem)
    assert_refused(stem, *with_cell("freelist", 3, "reported", value)(stem))


COLUMNS = [
    (name, column)
    for name in TABLES
    for column in pq.read_schema(part(IDLE20, f"{name}.parquet")).names
]


def rewrite(stem, table: str, change) -> Path:
    """Change a whole table."""
    path = part(stem, f"{table}.parquet")
    change(pd.read_parquet(path).astype({"zone": str})).to_parquet(path)
    return path


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_missing_column_is_refused(stem, table, column):
    path = rewrite(stem, table, lambda frame: frame.drop(columns=column))
    assert_refused(stem, path, repr(column), "missing")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_empty_values_are_refused(stem, table, column):
    def change(frame):
        frame[column] = frame[column].astype(object)
        frame.loc[5, column] = None
        return frame

    assert_refused(stem, rewrite(stem, table, change), repr(column), "1 empty value")


# Digits in text would convert, and a half would be cut off: both are misread, not read.
@pytest.mark.parametrize("kind", [str, lambda column: column + 0.5, float, lambda c: f"{c}x"])
@pytest.mark.parametrize(("table", "column"), [c for c in COLUMNS if c[1] != "zone"])
def test_a_number_column_must_hold_whole_numbers(stem, table, column, kind):
    path = rewrite(stem, table, lambda frame: frame.assign(**{column: frame[column].map(kind)}))
    assert_refused(stem, path, repr(column), "whole numbers")


def test_a_column_that_is_there_twice_is_refused(stem):
    path = part(stem, "pcp.parquet")
    table = pq.read_table(path)
    pq.write_table(table.append_column("pfn", table.column("pfn")), path)
    assert_refused(stem, path, "pfn")


def test_numbers_beyond_64_bits_are_refused(stem):
    path = rewrite(stem, "pcp", lambda frame: frame.assign(pfn=np.uint64((1 << 64) - 1)))
    assert_refused(stem, path, "'pfn'", (1 << 64) - 1)


def test_zone_names_must_be_text(stem):
    path = rewrite(stem, "pcp", lambda frame: frame.assign(zone=1))
    assert_refused(stem, path, "zone", "1")


def test_an_empty_table_disagrees_with_the_counts(stem):
    rewrite(stem, "freelist", lambda frame: frame[:0])
    assert_refused(stem, part(stem, "meta.json"), "nr_free", "lists 0 blocks")


def with_meta(*keys_and_value):
    """Change one value of meta.json, named by the keys that lead to it."""

    def edit(stem):
        *keys, last, value = keys_and_value
        path = part(stem, "meta.json")
        meta = json.loads(path.read_text())
        place = meta
        for key in keys:
            place = place[key]
        if value is KeyError:
            del place[last]
        else:
            place[last] = value
        path.write_text(json.dumps(meta))
        field = last if isinstance(last, str) else keys[-1]
        return (path, field) if value is KeyError else (path, field, value)

    return edit


ZONE = ("zones", 1)
NUMBERS = (
    *("start_pfn", "spanned", "present", "managed", "watermark_boost", "flags"),
    *("nr_reserved_highatomic", "nr_free_pages_stat"),
)
METAS = {
    "unknown kernel": with_meta("kernel", "5.19.0-1-amd64"),
    "kernel not text": with_meta("kernel", 6.1),
    "kernel empty": with_meta("kernel", ""),
    "no kernel": with_meta("kernel", KeyError),
    "no zones": with_meta("zones", []),
    "zones not a list": with_meta("zones", "DMA"),
    "zone not a record": with_meta("zones", 1, 7),
    "zone of unknown name": with_meta(*ZONE, "name", "HighMem"),
    "zone with a list for a name": with_meta(*ZONE, "name", ["DMA32"]),
    "zone twice": with_meta(*ZONE, "name", "DMA"),
    "watermark not a record": with_meta(*ZONE, "watermark", [1, 2, 3]),
    "watermark missing": with_meta(*ZONE, "watermark", "low", KeyError),
    "watermark text": with_meta(*ZONE, "watermark", "low", "13860"),
    "watermark beyond 64 bits": with_meta(*ZONE, "watermark", "low", 1 << 70),
    "reserve not a list": with_meta(*ZONE, "lowmem_reserve", 3),
    "reserve with text": with_meta(*ZONE, "lowmem_reserve", 2, "many"),
    "reserve with nothing": with_meta(*ZONE, "lowmem_reserve", 2, None),
    "reserve with a half": with_meta(*ZONE, "lowmem_reserve", 2, 0.5),
    "reserve beyond 64 bits": with_meta(*ZONE, "lowmem_reserve", 2, 1 << 64),
    "zones that overlap": with_meta(*ZONE, "start_pfn", 2048),
    "zone that begins anywhere": with_meta(*ZONE, "start_pfn", 4099),
    "zone before pfn 0": with_meta("zones", 0, "start_pfn", -1),
    "zone without pages": with_meta(*ZONE, "spanned", 0),
    "zone too large": with_meta(*ZONE, "spanned", 1 << 40),
    "pcp not a list": with_meta(*ZONE, "pcp", {"count": 3}),
    "pcp of no cpu": with_meta(*ZONE, "pcp", []),
    "pcp not a record": with_meta(*ZONE, "pcp", 0, 5),
    "pcp batch text": with_meta(*ZONE, "pcp", 0, "batch", "63"),
    "pcp without count": with_meta(*ZONE, "pcp", 0, "count", KeyError),
    "pcp without high": with_meta(*ZONE, "pcp", 0, "high", KeyError),
    "pcp of another cpu": with_meta(*ZONE, "pcp", 0, "cpu", 3),
    "pcp count off by one": with_meta(*ZONE, "pcp", 0, "count", 2607),
    "nr_free off by one": with_meta(*ZONE, "nr_free", 10, 179),
    "nr_free with text": with_meta(*ZONE, "nr_free", 10, "178"),
    "nr_free too short": with_meta(*ZONE, "nr_free", [3, 1, 3]),
    "nr_free not a list": with_meta(*ZONE, "nr_free", 178),
    "no nr_free": with_meta(*ZONE, "nr_free", KeyError),
    "fewer managed than free": with_meta(*ZONE, "managed", 184312),
    **{f"{name} text": with_meta(*ZONE, name, "4096") for name in NUMBERS},
    **{f"{name} a half": with_meta(*ZONE, name, 4096.5) for name in NUMBERS},
    **{f"{name} true": with_meta(*ZONE, name, True) for name in NUMBERS},
    **{f"{name} missing": with_meta(*ZONE, name, KeyError) for name in NUMBERS},
    **{f"{name} beyond 64 bits": with_meta(*ZONE, name, 1 << 80) for name in NUMBERS},
}


# Whole numbers that no guest can have: field, its keys, values.
IMPOSSIBLE = {
    "start_pfn": (-1, 1 << 31),
    "spanned": (0, -1, 1 << 40),
    "present": (-1, 258014, (1 << 63) - 1),
    "managed": (-1, 258014, (1 << 63) - 1),
    "watermark_boost": (-1, 249154),
    "nr_free_pages_stat": (-1, 245314),
    "nr_reserved_highatomic": (-1, 245314),
    "flags": (-1, (1 << 63) - 1),
}
METAS |= {
    f"{name} {value}": with_meta(*ZONE, name, value)
    for name, values in IMPOSSIBLE.items()
    for value in values
}
METAS |= {
    f"watermark {mark} {value}": with_meta(*ZONE, "watermark", mark, value)
    for mark, value in (("min", -1), ("min", 13861), ("low", 16633), ("high", 249154))
}
METAS |= {
    f"pcp {name} {value}": with_meta(*ZONE, "pcp", 0, name, value)
    for name, values in (("batch", (0, -1, 249154)), ("high", (-1, 249154)), ("free_factor", (-1,)))
    for value in values
}
METAS |= {
    f"reserve {value}": with_meta(*ZONE, "lowmem_reserve", 2, value) for value in (-1, 249154)
}
METAS["six reserves"] = lambda stem: (*with_meta(*ZONE, "lowmem_reserve", [0] * 6)(stem)[:2], 6)

# (pageblock's type, pcp list) -> the type the block keeps: in 6.1 the list need not agree with
# the pageblock, and the list 12 holds all that is not movable.
HUGE = {(0, 13): 1, (1, 13): 1, (2, 13): 1, (3, 13): 3, (0, 12): 0, (1, 12): 0, (2, 12): 2}


@pytest.mark.parametrize(("pageblock_type", "pindex"), HUGE)
def test_huge_pages_on_pcp_lists_keep_the_type_of_their_list(stem, pageblock_type, pindex):
    # Cached is the first half of a free block of order 10; the second half is allocated.
    rewrite(stem, "freelist", lambda frame: frame.drop(index=LAST_10))
    with_meta(*ZONE, "nr_free", 10, 177)(stem)
    with_meta(*ZONE, "pcp", 0, "count", 2606 + 512)(stem)
    pfn = int(FREE.loc[LAST_10, "pfn"])
    row = ["DMA32", 0, pindex, 9, pindex - 12, 0, pfn]

    def append(frame):
        return pd.concat([frame, pd.DataFrame([row], columns=frame.columns)], ignore_index=True)

    def retag(frame):
        return frame.assign(
            migratetype=frame["migratetype"].where(frame["start_pfn"] != pfn, pageblock_type)
        )

    rewrite(stem, "pcp", append)
    rewrite(stem, "pageblock", retag)
    memory = load_snapshot(stem)
    check_memory(memory)
    kept = frame_type(memory.frame[pfn - memory.base_pfn])
    assert kept == HUGE[pageblock_type, pindex]


@pytest.mark.parametrize("case", METAS)
def test_a_wrong_field_of_meta_is_refused_with_file_field_and_value(stem, case):
    path, field, *value = METAS[case](stem)
    assert_refused(stem, path, field, *map(repr, value))


def test_a_zone_has_no_more_pages_than_its_pageblocks(stem):
    cached = pd.read_parquet(part(stem, "pcp.parquet"))
    held = {
        block
        for pfn, order in zip([*FREE["pfn"], *cached["pfn"]], [*FREE["order"], *cached["order"]])
        for block in range(pfn >> 9, (pfn + (1 << order) - 1 >> 9) + 1)
    }
    blocks = pd.read_parquet(part(stem, "pageblock.parquet"))["block"]
    allocated = [block for block in blocks if block not in held and block > 8][:2]
    rewrite(stem, "pageblock", lambda frame: frame[~frame["block"].isin(allocated)])
    assert_refused(stem, part(stem, "meta.json"), "present", 258013, "502 pageblocks")


# Checksums.


@pytest.fixture
def saved(tmp_path):
    """A saved snapshot, which has checksums."""
    return save_snapshot(load_snapshot(IDLE20), tmp_path / "saved.T0")


def swapped(frame):
    """Two blocks of one list in each other's place, so that every count stays."""
    one, other = (rows_of(frame, zone="DMA32", order=10, migratetype=1)[at] for at in (3, 4))
    frame.loc[[one, other], "pfn"] = frame.loc[[other, one], "pfn"].to_numpy()
    return frame


def test_swapped_pages_are_seen_where_there_is_a_checksum(saved, stem):
    rewrite(stem, "freelist", swapped)
    check_memory(load_snapshot(stem))  # A recording has no checksum: nothing tells.
    load_snapshot(saved)
    path = rewrite(saved, "freelist", swapped)
    assert_refused(saved, path, "sha256", sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("suffix", SUFFIXES[:-1])
def test_a_checksum_is_that_of_its_file(saved, suffix):
    meta = json.loads(part(saved, "meta.json").read_text())
    assert meta["sha256"][suffix] == sha256(part(saved, suffix).read_bytes()).hexdigest()
    for wrong in (KeyError, None, 7, "0" * 64):
        edit = with_meta("sha256", suffix, wrong)
        edit(saved)
        assert_refused(saved, part(saved, suffix), "sha256", *([wrong] * (wrong is not KeyError)))
        part(saved, "meta.json").write_text(json.dumps(meta))
    with_meta("sha256", [])(saved)
    assert_refused(saved, part(saved, "meta.json"), "'sha256' must be dict, got []")


@pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12])
@pytest.mark.parametrize("size", ["64MiB", "3584MiB"])
@pytest.mark.parametrize("cpus", [1, 64])
def test_what_is_made_can_be_saved_and_loaded(tmp_path, profile, size, cpus):
    memory = make_memory(size, profile, nr_cpus=cpus, fragmentation=0.2)
    again = load_snapshot(save_snapshot(memory, tmp_path / "made.T0"))
    for name, tables in TABLES.items():
        assert tables(again).equals(tables(memory)), name


@pytest.mark.parametrize("text", ["", "[]", "null", "7", '{"zones": [', "[" * 100_000, "\x00"])
def test_json_that_is_no_recording_is_refused(stem, text):
    part(stem, "meta.json").write_text(text)
    assert_refused(stem, part(stem, "meta.json"))


def test_a_path_that_is_no_recording_is_refused(tmp_path):
    for name, said in (("nothing.T0",) * 2, ("n" * 900,) * 2, ("\0", "\\x00")):
        assert_refused(tmp_path / name, f"{tmp_path / said}.meta.json")


WHOLE = {suffix: part(IDLE20, suffix).read_bytes() for suffix in SUFFIXES}


@st.composite
def damaged_file(draw):
    """(suffix, content) with some bytes changed, cut out or put in."""
    suffix = draw(st.sampled_from(SUFFIXES))
    content = bytearray(WHOLE[suffix])
    place = draw(st.integers(0, len(content) - 1))
    length = draw(st.integers(0, 8))
    content[place : place + length] = draw(st.binary(max_size=8))
    return suffix, bytes(content)


def test_whatever_the_bytes_a_recording_loads_healthy_or_is_refused(tmp_path):
    outcomes, count = Counter(), examples(100)

    @settings(SETTINGS, max_examples=count)
    @given(damaged_file())
    def load(damaged):
        suffix, content = damaged
        stem = copy_recording(tmp_path)
        part(stem, suffix).write_bytes(content)
        try:
            check_memory(load_snapshot(stem))
            outcomes["loaded"] += 1
        except InputError as error:
            assert "\n" not in str(error)
            assert "idle20.T0" in str(error)
            outcomes["refused"] += 1

    load()
    assert outcomes.total() >= count
    assert outcomes["refused"] > count * 2 / 3
