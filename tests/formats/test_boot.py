"""Guests that are made or drawn are whole, follow the kernel's formulas, and count as /proc."""

import gzip
import re

import numpy as np
import pytest

import freehint as fh
from freehint.mm.change import with_cpus
from freehint.mm.memory import WMARK_HIGH, WMARK_LOW, WMARK_MIN
from freehint.mm.watermark import pcp_batch, zone_watermarks

PROC = ("boot_1g", "boot_2g", "boot_4g")


def proc_text(name):
    return gzip.decompress(fh.data(f"linux-6.1/proc/{name}.txt.gz").read_bytes()).decode()


@pytest.mark.parametrize("size", ["64MiB", "1GiB", "3GiB", "4GiB", "16GiB"])
@pytest.mark.parametrize("fragmentation", [0.0, 0.5])
def test_made_memory_is_whole(size, fragmentation):
    memory = fh.make_memory(size, fragmentation=fragmentation, nr_cpus=2)
    fh.check_memory(memory)
    shredded = memory.nr_free[-1, :9].sum()
    assert (shredded > 100) == (fragmentation > 0)


def test_made_memory_has_the_zones_of_the_recorded_guest():
    made, recorded = (
        fh.make_memory("4GiB"),
        fh.load_snapshot(fh.data("linux-6.1/snapshots/snap4g.T0")),
    )
    for field in ("index", "start_pfn", "spanned"):
        assert made.zones[field].tolist() == recorded.zones[field].tolist()
    # What the kernel took at boot is the recorded guest's to within 2 % of the zone.
    assert made.zones["managed"] == pytest.approx(recorded.zones["managed"], rel=0.04)


@pytest.mark.parametrize("snapshot", ["snapshots/snap4g", "snapshots/snap2g", "traces/fork"])
def test_watermarks_follow_the_kernels_formulas(snapshot):
    recorded = fh.load_snapshot(fh.data(f"linux-6.1/{snapshot}.T0"))
    computed = zone_watermarks(recorded.zones["managed"])
    for mark in (WMARK_MIN, WMARK_LOW, WMARK_HIGH):
        assert computed[1:, mark] == pytest.approx(recorded.zones["watermark"][1:, mark], rel=0.015)


def test_pcp_batch_follows_the_kernels_formula():
    for name in ("snapshots/snap4g", "traces/compile"):
        memory = fh.load_snapshot(fh.data(f"linux-6.1/{name}.T0"))
        computed = [pcp_batch(int(m)) for m in memory.zones["managed"]]
        assert computed == memory.pcp["batch"][:, 0].tolist()
    assert pcp_batch(116481) == 31  # the recorded 512 MiB guest


def test_more_cpus_keep_every_list_and_share_the_limits():
    memory = fh.load_snapshot(fh.data("linux-6.1/snapshots/snap4g.T0"))
    four = with_cpus(memory, 4)
    fh.check_memory(four)
    assert fh.free_lists(four).equals(fh.free_lists(memory))
    assert fh.pcp_lists(four).equals(fh.pcp_lists(memory))
    assert four.pcp["high"][1].tolist() == [15902 // 4] * 4


@pytest.mark.parametrize("name", PROC)
@pytest.mark.parametrize("seed", [1, 2])
def test_memory_from_proc_has_every_count_of_the_text(name, seed):
    memory = fh.memory_from_proc(fh.data(f"linux-6.1/proc/{name}.txt.gz"), seed=seed)
    fh.check_memory(memory)
    text = proc_text(name)
    zones = {fh.mm.memory.zone_name(memory, z): z for z in range(len(memory.zones))}
    types = ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"]
    lines = re.findall(r"zone +(\w+), type +(\w+) ([ \d]+)", text)
    assert len(lines) == 5 * len(zones)
    for zone, name_, counts in lines:
        ours = memory.nr_free[zones[zone], :, types.index(name_)]
        assert ours.tolist() == [int(c) for c in counts.split()]
    blocks = text.split("Number of blocks type")[1].split("###")[0]
    table = fh.pageblocks(memory)
    for zone, counts in re.findall(r"zone +(\w+) ([ \d]+)", blocks):
        ours = np.bincount(table.loc[table["zone"] == zone, "migratetype"], minlength=5)
        assert ours.tolist() == [int(c) for c in counts.split()]
    pcp = [int(c) for c in re.findall(r"^ +count: +(\d+)", text, re.M)]
    assert memory.pcp["count"][:, 0].tolist() == pcp[: len(zones)]


def test_another_seed_draws_other_places():
    path = fh.data("linux-6.1/proc/boot_4g.txt.gz")
    first, same, other = (fh.free_lists(fh.memory_from_proc(path, seed=s)) for s in (1, 1, 2))
    assert first.equals(same) and not first.equals(other)


def test_plain_text_reads_like_gzip(tmp_path):
    (tmp_path / "proc.txt").write_text(proc_text("boot_1g"))
    plain = fh.memory_from_proc(tmp_path / "proc.txt")
    packed = fh.memory_from_proc(fh.data("linux-6.1/proc/boot_1g.txt.gz"))
    assert fh.free_lists(plain).equals(fh.free_lists(packed))


BROKEN = [
    (
        lambda t: t[: t.index("zone    DMA32, type  Reclaimable")],
        "number of pageblocks|no line for",
    ),
    (lambda t: t[: t.index("Number of blocks type")], "no number of pageblocks of zone DMA"),
    (lambda t: t[: t.index("managed", t.index("zoneinfo"))], "zoneinfo of zone DMA has no field"),
    (lambda t: t[: t.rindex("batch")], "no whole pagesets|has no field"),
    (lambda t: t.replace("type    Unmovable", "type    Immovable", 1), "unknown migratetype 'Imm"),
    (lambda t: t.replace("735 \n", "99999 \n"), "99999 free blocks of order 10 do not fit"),
    (lambda t: t.replace("735 \n", ">100000 \n"), "the kernel gave up counting at '>100000'"),
    (lambda t: "hello\n", "pagetypeinfo \\(none\\)"),
    (lambda t: t.replace("6.1.0-56", "5.4.0-56"), "no profile for kernel '5.4.0-56-cloud-amd64'"),
    (
        lambda t: t.replace("Movable      2      1", "Movable      2", 1),
        "11 counts are needed, got 10",
    ),
]


def in_zoneinfo(old: str, new: str):
    """Replace the first occurrence in the text's zoneinfo."""

    def damage(text):
        start = text.index("### /proc/zoneinfo")
        return text[:start] + text[start:].replace(old, new, 1)

    return damage


def other_node(line_with: str):
    """A further line after the first of these, the same for node 1."""

    def damage(text):
        start = text.index(line_with)
        start = text.rindex("\n", 0, start) + 1
        line = text[start : text.index("\n", start) + 1]
        return text[:start] + line + line.replace("0,", "1,", 1) + text[start + len(line) :]

    return damage


def repeated(line_with: str):
    """The first of these lines twice, and 1 in place of 2 in the second."""

    def damage(text):
        start = text.rindex("\n", 0, text.index(line_with)) + 1
        line = text[start : text.index("\n", start) + 1]
        return text[:start] + line + line.replace(" 2 ", " 1 ") + text[start + len(line) :]

    return damage


MANAGED = "managed  757817"
BROKEN += [
    (
        other_node("Normal, type    Unmovable"),
        "line 26: zone Normal is of NUMA node 1, but a guest",
    ),
    (other_node("Normal           46"), "line 35: zone Normal is of NUMA node 1, but a guest"),
    (in_zoneinfo("Node 0, zone   Normal", "Node 1, zone   Normal"), "152: zone Normal is of NUMA"),
    (repeated("DMA32, type      Movable"), "line 22: type Movable of zone DMA32 is there twice"),
    (repeated("DMA32            2"), "line 34: the pageblocks of zone DMA32 are there twice"),
    (repeated(MANAGED), "line 125: managed is there twice"),
    (repeated("start_pfn:           4096"), "line 152: start_pfn is there twice"),
    (
        lambda t: f"{t}\n" + t[t.index("Node 0, zone    DMA32\n") :],
        "zone DMA32 is there twice in zoneinfo",
    ),
    (in_zoneinfo(MANAGED, "managed  ²"), "line 124: managed must be a whole number in .*, got '²'"),
    (in_zoneinfo(MANAGED, f"managed  {'9' * 5000}"), "line 124: managed must be .*, got '999"),
    (in_zoneinfo(MANAGED, "managed  -1"), "line 124: managed must be .*, got '-1'"),
    (in_zoneinfo(MANAGED, "managed  99999999"), r"'managed' must lie in 0\.\..*, got 99999999"),
    (in_zoneinfo("batch: 63", "batch: ²"), "line 148: batch must be a whole number in .* got '²'"),
    (in_zoneinfo("batch: 63", "batch: 0"), "pagesets: field 'batch' must lie in 1.*, got 0"),
    (in_zoneinfo("protection: (0, ", "protection: (0, ²"), "protection must be .*, got '²"),
    (in_zoneinfo("protection: (0, ", "protection: (0, -"), "protection must be .*, got '-"),
    (in_zoneinfo("low      80", "low      9999"), "field 'low' must lie in 0.* .high.*, got 9999"),
    (lambda t: t.replace("735 \n", "9" * 5000 + " \n"), "line 21: a count must be .*, got '999"),
]


@pytest.mark.parametrize(("damage", "sentence"), BROKEN)
def test_broken_proc_text_is_refused(tmp_path, damage, sentence):
    text = proc_text("boot_4g")
    assert damage(text) != text
    path = tmp_path / "proc.txt"
    path.write_text(damage(text))
    with pytest.raises(fh.InputError, match=sentence) as caught:
        fh.memory_from_proc(path)
    assert "\n" not in str(caught.value)


def test_text_cut_anywhere_is_refused_or_was_past_what_is_needed(tmp_path):
    text = proc_text("boot_2g")
    path = tmp_path / "proc.txt"
    needed = text.rindex("batch:")
    whole = fh.free_lists(fh.memory_from_proc(fh.data("linux-6.1/proc/boot_2g.txt.gz")))
    for cut in range(0, len(text), 97):
        path.write_text(text[:cut])
        try:
            memory = fh.memory_from_proc(path)
        except fh.InputError:
            continue
        assert cut > text.index("### /proc/zoneinfo")
        assert fh.free_lists(memory).equals(whole), f"cut at {cut} of {needed} went unseen"


def test_missing_and_half_written_files_are_refused(tmp_path):
    with pytest.raises(fh.InputError, match="there is no such file"):
        fh.memory_from_proc(tmp_path / "none.txt")
    packed = fh.data("linux-6.1/proc/boot_1g.txt.gz").read_bytes()
    (tmp_path / "half.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(fh.InputError, match=r"half\.gz: this is not whole gzip"):
        fh.memory_from_proc(tmp_path / "half.gz")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": "8 gigs"}, "size must be a number with KiB"),
        ({"size": "1MiB"}, "at least 64MiB"),
        ({"size": "1GiB", "fragmentation": 2}, "fragmentation must lie in 0..1, got 2"),
        ({"size": "1GiB", "nr_cpus": 0}, "nr_cpus must be a whole number >= 1, got 0"),
    ],
)
def test_make_memory_refuses_bad_values(arguments, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.make_memory(**arguments)


def with_cma(text: str, pages: int) -> str:
    """The text of the same guest if its kernel had CMA, with free pages of that type."""
    lines = []
    for line in text.splitlines():
        if line.startswith("Number of blocks type"):
            line = line.replace("Isolate", "CMA Isolate")
        elif re.match(r"Node 0, zone +\w+( +\d+){5} *$", line):
            line = re.sub(r" (\d+) *$", r" 0 \1", line)
        elif ", type      Isolate" in line:
            counts = " ".join([str(pages), *["0"] * 10])
            lines.append(re.sub(r"type +Isolate.*", f"type CMA {counts}", line))
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_a_kernel_with_cma_has_six_types_and_may_use_no_cma_area(tmp_path):
    text, path = proc_text("boot_1g"), tmp_path / "boot.txt"
    path.write_text(text)
    five = fh.memory_from_proc(path).nr_free
    path.write_text(with_cma(text, 0))
    six = fh.memory_from_proc(path).nr_free
    assert six.shape == (2, 11, 6) and (six[:, :, :5] == five).all() and not six[:, :, 5].any()
    path.write_text(with_cma(text, 3))
    with pytest.raises(fh.InputError, match="zone DMA counts CMA pages: freehint does not model"):
        fh.memory_from_proc(path)
