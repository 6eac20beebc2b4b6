"""The live migration of a recorded guest to a second QEMU, which takes the place of a plain end.

Both QEMUs run on this machine.  The guest goes through a unix socket that has no name, so that no
file is left, and each QEMU sees the end of the other.  T0 is the source just before ``migrate``,
T1 the destination after it.  The trace's buffers move with the guest.

Sources: QEMU's qapi/migration.json; docs/devel/migration.rst; hw/virtio/virtio-balloon.c, which
asks a guest for its free pages when the first round begins.
"""

import subprocess
import time
from typing import NamedTuple

from freehint.config import InputError, whole
from freehint.record.qemu import ANSWER_S, Destination, Guest

MB = 10**6
SAMPLE_S = 0.25
ENDED_S = 0.3  # from QEMU's "completed" or "failed" to its last counters or words
PATIENCE_S, PASSES = 60, 10  # a migration may last the time of ten passes over the memory
SOCKET = "migration"  # its name in the source's monitor
EVENTS = (
    *("migration_bitmap_sync_start", "migration_bitmap_sync_end", "migrate_set_state"),
    *("migration_completion_vm_stop", "savevm_state_complete_precopy", "ram_load_complete"),
)
# The columns of the samples after t_s, and the counters of query-migrate's ram.
COUNTERS = {
    "transferred_B": "transferred",
    "remaining_B": "remaining",
    "normal": "normal",
    "duplicate": "duplicate",
    "dirty_sync_count": "dirty-sync-count",
    "dirty_pages_rate": "dirty-pages-rate",
}
FILE = "/tmp/ck"  # 4 MiB of random bytes, which must be the same on the destination
CHECKSUM = f"md5sum {FILE}"
LISTS = "cat /proc/buddyinfo; head -n 3 /proc/meminfo; cut -d ' ' -f 1 /proc/uptime"
FEATURES = "cat /sys/devices/pci0000:00/*/virtio*/features | tr '\\n' ' '; echo"
COMPACTION = "grep -E 'compact_|pgmigrate_success' /proc/vmstat"


class Migration(NamedTuple):
    """How a guest migrates.

    bandwidth : int        QEMU's max-bandwidth, bytes/s
    downtime_limit : int   ms
    hints : bool           free-page-hint of the balloon
    """

    bandwidth: int = 50 * MB
    downtime_limit: int = 300
    hints: bool = False

    def check(self) -> None:
        """Refuse what QEMU refuses.

        Raises
        ------
        InputError
            A value is out of bounds.
        """
        whole("--bandwidth in bytes per second", self.bandwidth, MB, 10**12)
        whole("--downtime-limit in ms", self.downtime_limit, 1, 10**6)

    def longest_s(self, memory: int) -> float:
        """The longest time that the migration of ``memory`` bytes may take, in s."""
        return PATIENCE_S + PASSES * memory / self.bandwidth


def look_before(guest: Guest) -> dict:
    """What a migration's record has of the guest before T0; a file to compare is written, too.

    Returns
    -------
    dict
        Of str: guest_before, pagetypeinfo_before and, for :func:`look_after`, checksum.
    """
    guest.shell(f"dd if=/dev/urandom of={FILE} bs=64k count=64 2>/dev/null")
    return {
        "checksum": guest.shell(CHECKSUM),
        "guest_before": guest.shell(f"{LISTS}; {FEATURES}"),
        "pagetypeinfo_before": guest.shell("cat /proc/pagetypeinfo"),
    }


def migrate(source: Guest, destination: Destination, migration: Migration, memory: int) -> dict:
    """Let a running guest go to its destination, and wait until it runs there.

    Parameters
    ----------
    source, destination : Guest
    migration : Migration
    memory : int
        Bytes of the guest.

    Returns
    -------
    dict
        Settings, samples and counters, with the keys of NAME.migration.json.gz.

    Raises
    ------
    ChildProcessError
        It fails, or does not end in ``migration.longest_s``.
    """
    source.qmp(
        "migrate-set-parameters",
        **{"max-bandwidth": migration.bandwidth, "downtime-limit": migration.downtime_limit},
    )
    version = source.qmp("query-version")["qemu"]
    capabilities = source.qmp("query-migrate-capabilities")
    record = {
        "src_rss_before_KiB": source.resident_kib(),
        "dst_rss_before_KiB": destination.resident_kib(),
        "qemu": "{major}.{minor}.{micro}".format(**version),
        "parameters": source.qmp("query-migrate-parameters"),
        "capabilities": {one["capability"]: True for one in capabilities if one["state"]},
    }
    cpu_s = source.cpu_s()
    source.qmp("migrate", uri=f"fd:{SOCKET}")
    samples = _samples(source, destination, migration.longest_s(memory))
    time.sleep(ENDED_S)
    _wait_until_running(destination)
    return record | {
        "query_migrate": source.qmp("query-migrate"),
        "src_cpu_s": round(source.cpu_s() - cpu_s, 2),
        "samples_columns": ["t_s", *COUNTERS],
        "samples": samples,
        "src_rss_after_KiB": source.resident_kib(),
        "dst_rss_after_KiB": destination.resident_kib(),
        "qemu_trace": source.logged(),
    }


def _samples(source: Guest, destination: Guest, longest_s: float) -> list:
    """The counters every SAMPLE_S until the migration is complete."""
    began, samples = time.monotonic(), []
    while True:
        told = source.qmp("query-migrate")
        ram, passed = told.get("ram", {}), time.monotonic() - began
        samples.append([round(passed, 3), *(ram.get(name) for name in COUNTERS.values())])
        status = told.get("status")
        if status == "completed":
            return samples
        if status in ("failed", "cancelled"):
            why = told.get("error-desc", "the source does not say why")
            raise ChildProcessError(f"the migration failed: {why}{_end_of(destination)}")
        if passed > longest_s:
            raise ChildProcessError(
                f"the migration does not end: after {passed:.0f} s and"
                f" {ram.get('dirty-sync-count', 0)} rounds {ram.get('remaining', 0) >> 20} MiB"
                " remain; a higher --bandwidth or --downtime-limit, or a calmer --workload, helps"
            )
        time.sleep(SAMPLE_S)


def _end_of(guest: Guest) -> str:
    """Words that a destination has ended, and why; "" if it runs on."""
    try:
        guest.process.wait(ENDED_S)
    except subprocess.TimeoutExpired:
        return ""
    return f"; the destination has ended: {guest.why()}"


def _wait_until_running(guest: Guest) -> None:
    deadline = time.monotonic() + ANSWER_S
    while (status := guest.qmp("query-status")["status"]) != "running":
        if time.monotonic() > deadline:
            raise ChildProcessError(f"the guest is {status!r} on its destination, and does not run")
        time.sleep(0.02)


def look_after(guest: Guest, before: dict) -> dict:
    """What a migration's record has of the guest before T1.

    Parameters
    ----------
    guest : Guest
        The destination.
    before : dict
        From :func:`look_before`.

    Returns
    -------
    dict
        guest_before, pagetypeinfo_before, the same of after, and checksum_ok, which is True.

    Raises
    ------
    InputError
        The file is not the same: the migration damaged the guest's memory.
    """
    checksum = guest.shell(CHECKSUM)
    if checksum != before["checksum"]:
        raise InputError(
            f"the migration damaged the guest: its file {FILE} had the md5"
            f" {before['checksum']:.32} on the source and {checksum:.32} on the destination"
        )
    return {
        **{name: text for name, text in before.items() if name != "checksum"},
        "checksum_ok": True,
        "guest_after": f"{checksum}\n" + guest.shell(f"{LISTS}; {COMPACTION}"),
        "pagetypeinfo_after": guest.shell("cat /proc/pagetypeinfo"),
    }
