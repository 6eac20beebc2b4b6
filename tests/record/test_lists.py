"""A snapshot's checks: whole lists pass, and each way to be torn is named."""

import json

import pandas as pd
import pytest

import freehint as fh
from freehint.cli import main
from freehint.config import InputError
from freehint.record.lists.snapshot import record_snapshot, still
from freehint.record.lists.tables import COLUMNS, Lists, TornError, checked, write_lists


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The lists of a made guest, with the lock that a real one has."""
    stem = fh.save_snapshot(fh.make_memory("64MiB"), tmp_path_factory.mktemp("lists") / "made.T0")
    tables = [pd.read_parquet(f"{stem}.{kind}.parquet") for kind in COLUMNS]
    meta = json.loads((stem.parent / f"{stem.name}.meta.json").read_text())
    del meta["sha256"]
    for zone in meta["zones"]:
        zone["lock"] = 0
    tables[0]["reported"] = 0
    typed = [table.astype(COLUMNS[kind]) for kind, table in zip(COLUMNS, tables)]
    return Lists(*typed, meta)


def changed(lists: Lists, change) -> Lists:
    """The lists with their meta.json changed."""
    meta = json.loads(json.dumps(lists.meta))
    change(meta["zones"][-1])
    return lists._replace(meta=meta)


def test_whole_lists_pass_and_load(whole, tmp_path):
    lists = checked(whole, "T0")
    assert lists.meta["checks_ok"] and all(check[1] for check in lists.meta["checks"])
    write_lists(lists, tmp_path / "a.T0")
    memory = fh.load_snapshot(tmp_path / "a.T0")
    assert memory.reported_known
    assert int(memory.nr_free.sum()) == len(whole.freelist)


def test_a_lost_block_is_torn(whole):
    with pytest.raises(TornError, match=r"order \d+: list length = nr_free does not hold"):
        checked(whole._replace(freelist=whole.freelist.iloc[:-1]), "T0")


def test_a_block_too_many_on_a_pcp_list_is_torn(whole):
    zone = whole.meta["zones"][-1]
    row = dict.fromkeys(COLUMNS["pcp"], 0) | {"zone": zone["name"], "pfn": 5}
    pcp = pd.concat([whole.pcp.astype({"zone": str}), pd.DataFrame([row])]).astype(COLUMNS["pcp"])
    count = zone["pcp"][0]["count"]
    sentence = f"cpu0: pcp list pages = pcp.count does not hold: {count + 1} and {count}"
    with pytest.raises(TornError, match=sentence):
        checked(whole._replace(pcp=pcp), "T0")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda zone: zone["nr_free"].__setitem__(3, 1 + zone["nr_free"][3]), "order 3: list"),
        (lambda zone: zone.update(nr_free_pages_stat=1), "pages on lists = NR_FREE_PAGES"),
        (lambda zone: zone["pcp"][0].update(count=77), "pcp list pages = pcp.count"),
        (lambda zone: zone.update(lock=1), "zone->lock is free does not hold: 0 and 1"),
    ],
)
def test_a_counter_that_differs_is_torn(whole, change, sentence):
    with pytest.raises(TornError, match=f"^T1: the snapshot is torn: .*{sentence}"):
        checked(changed(whole, change), "T1")


class Moving:
    """A reader of a kernel that runs during its first readings."""

    def __init__(self, lists, moves, torn=0):
        self.whole, self.moves, self.torn = lists, moves, torn
        self.clock = self.readings = 0

    def counters(self):
        return [self.clock]

    def lists(self):
        self.readings += 1
        self.clock += self.readings <= self.moves
        if self.readings <= self.torn:
            return self.whole._replace(freelist=self.whole.freelist.iloc[:-1])
        return self.whole


def test_a_live_snapshot_is_read_until_nothing_moves(whole):
    reader = Moving(whole, moves=2, torn=1)
    assert still(reader, tries=5).meta["checks_ok"]
    assert reader.readings == 3


@pytest.mark.parametrize(("torn", "why"), [(0, "pages were allocated"), (9, "list length")])
def test_a_live_kernel_that_never_stands_still_is_refused(whole, torn, why):
    with pytest.raises(TornError, match=f"moved under the reader in all of 4 readings .*{why}"):
        still(Moving(whole, moves=9, torn=torn), tries=4)


def test_what_exists_is_not_overwritten(tmp_path):
    (tmp_path / "a.T0.meta.json").write_text("{}")
    with pytest.raises(InputError, match=r"a\.T0\.meta\.json: exists already"):
        record_snapshot(tmp_path / "a.T0")


def test_a_dump_needs_its_vmlinux(tmp_path, capsys):
    out = str(tmp_path / "a.T0")
    assert main(["record", "snapshot", "--vmcore", "core", "--out", out]) == 2
    assert capsys.readouterr().err == "--vmcore needs --vmlinux: the kernel with debug symbols\n"
    assert main(["record", "snapshot", "--out", out]) == 2
    assert "--live --vmcore is required" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
