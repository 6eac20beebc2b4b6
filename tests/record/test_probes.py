"""Probes against lists of symbols: what a kernel has, lacks, or has under another name."""

import pytest

from freehint.config import InputError
from freehint.formats.traces.table import NUMBERS, PROBE_EVENTS
from freehint.record.probes import NEEDED, PROBES, REPORTING, choose_probes, read_symbols, series_of

RELEASES = {
    "5.10": "5.10.0-32-cloud-amd64",
    "6.1": "6.1.0-57-cloud-amd64",
    "6.12": "6.12.117+deb12-cloud-amd64",
}
# Lines of the System.map of these releases.
SYMBOLS = {
    "5.10": {
        *("free_pcppages_bulk", "free_one_page", "steal_suitable_fallback"),
        *("set_pageblock_migratetype", "move_freepages_block", "unreserve_highatomic_pageblock"),
        *("__isolate_free_page", "__putback_isolated_page", "kmalloc_slab"),
    },
    "6.1": {
        *("free_pcppages_bulk", "free_one_page.constprop.0", "__free_pages_ok", "rmqueue_bulk"),
        *("set_pageblock_migratetype", "move_freepages_block", "steal_suitable_fallback"),
        *("unreserve_highatomic_pageblock", "__isolate_free_page", "__putback_isolated_page"),
        *("__alloc_pages_bulk", "drain_pages_zone", "kmalloc_slab"),
    },
    "6.12": {
        *("free_pcppages_bulk", "free_one_page", "try_to_steal_block", "__move_freepages_block"),
        *("set_pageblock_migratetype", "move_freepages_block", "unreserve_highatomic_pageblock"),
        *("__isolate_free_page", "__putback_isolated_page", "decay_pcp_high", "drain_pages_zone"),
        *("alloc_pages_bulk_noprof", "kmalloc_slab"),
    },
}


@pytest.mark.parametrize("series", PROBES)
def test_a_known_kernel_lacks_nothing(series):
    chosen = choose_probes(RELEASES[series], SYMBOLS[series])
    assert chosen.missing == ()
    assert {probe.function for probe in chosen.probes} == SYMBOLS[series] - {"kmalloc_slab"}
    assert NEEDED[series] < {probe.event for probe in chosen.probes}


@pytest.mark.parametrize("series", PROBES)
def test_every_argument_has_a_column(series):
    for probe in (*PROBES[series], *REPORTING):
        assert probe.event in PROBE_EVENTS
        for argument in probe.arguments.split():
            name, _, source = argument.partition("=")
            assert name in (*NUMBERS, "gfp")
            assert source.startswith(("%", "$retval:"))


def test_the_lines_for_tracefs():
    lines = {probe.event: probe.line() for probe in PROBES["6.1"]}
    assert lines["free_direct"] == (
        "p:fh/free_direct free_one_page.constprop.0 pfn=%dx:u64 order=%cx:u32 migratetype=%r8:s32"
    )
    assert lines["isolate_ret"] == "r:fh/isolate_ret __isolate_free_page a=$retval:s32"
    assert lines["unreserve"] == "p:fh/unreserve unreserve_highatomic_pageblock"
    assert " pfn=%di:b32@6/64 " in lines["isolate"]


def test_a_drain_of_5_10_tells_its_zone():
    lines = {probe.event: probe.line() for probe in PROBES["5.10"]}
    assert lines["drain"] == "p:fh/drain free_pcppages_bulk a=%si:s32 b=%di:b31@0/64"


def test_a_probe_that_a_replay_can_miss_is_told():
    chosen = choose_probes(RELEASES["6.1"], SYMBOLS["6.1"] - {"free_pcppages_bulk"})
    assert [probe.event for probe in chosen.missing] == ["drain"]


def test_a_function_with_other_registers_is_refused():
    symbols = SYMBOLS["6.1"] - {"free_one_page.constprop.0"} | {"free_one_page.isra.0"}
    with pytest.raises(InputError) as error:
        choose_probes(RELEASES["6.1"], symbols)
    assert str(error.value) == (
        "kernel 6.1.0-57-cloud-amd64: has no function free_one_page.constprop.0, which the probe"
        " 'free_direct' needs; it has free_one_page.isra.0"
    )


def test_a_series_without_probes_is_refused():
    assert series_of("6.12.117+deb12-cloud-amd64") == "6.12"
    for release in ("6.13.2-amd64", "5.1.0-30-cloud-amd64", "strange"):
        with pytest.raises(InputError, match=r"there are probes for 5\.10, 6\.1, 6\.12 only"):
            series_of(release)


def test_symbols_of_the_image_package_are_a_stub(tmp_path):
    stub = tmp_path / "System.map"
    stub.write_text("ffffffffffffffff B The real System.map is in the -dbg package\n")
    with pytest.raises(InputError, match="lists no functions"):
        read_symbols(stub)
    stub.write_text("ffffffff812e2e20 t free_one_page.constprop.0\nffffffff82000000 D jiffies\n")
    assert read_symbols(stub) == {"free_one_page.constprop.0"}
