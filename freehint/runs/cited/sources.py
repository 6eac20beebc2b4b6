"""What freehint's parts are made from: mails, commits, papers, sources and recordings, by key.

Which run uses which of them, :mod:`freehint.runs.cited.citations` tells.  Mails are named by their
Message-ID, under which lore.kernel.org finds them.
"""

from typing import NamedTuple


class Source(NamedTuple):
    """Something to cite.

    authors : tuple of str   in the order of their names on it
    title   : str            a mail's subject, a commit's first line, a paper's title
    where   : str            list, project and release, or proceedings
    date    : str            "2018-01-26"; a year if it has no day
    link    : str            an address, or a path in freehint's data
    """

    authors: tuple
    title: str
    where: str
    date: str
    link: str

    @staticmethod
    def is_group(name: str) -> bool:
        """Whether a name is that of a group or an organisation, which has no first name."""
        return name.startswith("the ") or " " not in name

    @property
    def year(self) -> int:
        """The year of its date."""
        return int(self.date[:4])

    @property
    def text(self) -> str:
        """The citation as people read it."""
        last = [name if self.is_group(name) else name.split()[-1] for name in self.authors]
        who = " and ".join(last) if len(last) < 3 else f"{last[0]} et al."
        return f"{who}: {self.title}. {self.where}, {self.date}"


WANG, TSIRKIN = "Wei Wang", "Michael S. Tsirkin"
LORE, LINUX = "https://lore.kernel.org/r/", "https://git.kernel.org/linus/"
TREE = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree/"
QEMU = "https://gitlab.com/qemu-project/qemu/-/"
V24 = "[PATCH v24 1/2] mm: support reporting free page blocks"
V33 = "[PATCH v33 1/4] mm: add a function to get free page blocks"


def _mail(authors, title: str, date: str, message_id: str) -> Source:
    return Source(authors, title, "mail to linux-mm", date, LORE + message_id)


def _commit(author: str, title: str, release: str, year: str, name: str) -> Source:
    return Source((author,), title, f"commit {name}, {release}", year, LINUX + name)


def _kernel(release: str, year: str) -> Source:
    return Source(
        ("the Linux developers",),
        f"The page allocator of Linux {release}",
        "mm/page_alloc.c",
        year,
        f"{TREE}mm/page_alloc.c?h=v{release}",
    )


def _qemu(title: str, file: str) -> Source:
    where = f"QEMU 10.0, {file}"
    return Source(("the QEMU developers",), title, where, "2025", f"{QEMU}blob/v10.0.0/{file}")


def _recorded(title: str, folder: str) -> Source:
    return Source(("the freehint developers",), title, "recordings", "2026", f"data/{folder}")


SOURCES = {
    "freehint": Source(
        ("the freehint developers",),
        "freehint: a laboratory for free page hints between a guest and its hypervisor",
        "software",
        "2026",
        "CITATION.cff",
    ),
    # The thread of January 2018, and what came of it.
    "wang2018v24": _mail(
        (WANG,), V24, "2018-01-24", "1516790562-37889-2-git-send-email-wei.w.wang@intel.com"
    ),
    "tsirkin2018rotate": _mail(
        (TSIRKIN,), f"Re: {V24}", "2018-01-25", "20180125152933-mutt-send-email-mst@kernel.org"
    ),
    "wang2018restart": _mail((WANG,), f"Re: {V24}", "2018-01-26", "5A6AA08B.2080508@intel.com"),
    "tsirkin2018lock": _mail(
        (TSIRKIN,), f"Re: {V24}", "2018-01-26", "20180126155224-mutt-send-email-mst@kernel.org"
    ),
    "tsirkin2018steps": _mail(
        (TSIRKIN,), f"Re: {V24}", "2018-01-26", "20180126233950-mutt-send-email-mst@kernel.org"
    ),
    "wang2018legacy": _mail(
        (WANG,),
        "Re: [PATCH v25 1/2 RESEND] mm: support reporting free page blocks",
        "2018-01-26",
        "5A6A8E56.90408@intel.com",
    ),
    "wang2018v33": _mail(
        (WANG,), V33, "2018-06-15", "1529037793-35521-2-git-send-email-wei.w.wang@intel.com"
    ),
    "torvalds2018allocate": _mail(
        (TSIRKIN, "Linus Torvalds"),  # the mail quotes Torvalds' proposal
        f"Re: {V33}",
        "2018-06-27",
        "20180627220402-mutt-send-email-mst@kernel.org",
    ),
    "wang2018hint": _commit(
        WANG,
        "virtio-balloon: VIRTIO_BALLOON_F_FREE_PAGE_HINT",
        "Linux 4.20",
        "2018",
        "86a559787e6f",
    ),
    "duyck2020reporting": _commit(
        "Alexander Duyck", "mm: introduce Reported pages", "Linux 5.7", "2020", "36e66c554b5c"
    ),
    # Kernels.
    "linux4.15": _kernel("4.15", "2018"),
    "linux5.10": _kernel("5.10.228", "2024"),
    "linux6.1": _kernel("6.1.192", "2026"),
    "linux6.12": _kernel("6.12.95", "2026"),
    "linux7.3": _kernel("7.3.4", "2026"),
    "hildenbrand2020tail": _commit(
        "David Hildenbrand",
        "mm/page_alloc: move pages to tail in move_to_free_list()",
        "Linux 5.10",
        "2020",
        "293ffa5ebb9c",
    ),
    "gorman2021pcp": _commit(
        "Mel Gorman",
        "mm/page_alloc: allow high-order pages to be stored on the per-cpu lists",
        "Linux 5.14",
        "2021",
        "44042b449872",
    ),
    "huang2023high": _commit(
        "Huang Ying", "mm: tune PCP high automatically", "Linux 6.7", "2023", "51a755c56dc0"
    ),
    "weiner2024hygiene": _commit(
        "Johannes Weiner",
        "mm: page_alloc: fix freelist movement during block conversion",
        "Linux 6.10",
        "2024",
        "c0cd6f557b90",
    ),
    "weiner2025steal": _commit(
        "Johannes Weiner",
        "mm: page_alloc: don't steal single pages from biggest buddy",
        "Linux 6.15, backported to 6.12",
        "2025",
        "c2f6ea38fc1b",
    ),
    # Host and migration.
    "virtio1.3": Source(
        ("OASIS",),
        "Virtual I/O Device (VIRTIO) Version 1.3",
        "2.7 Split Virtqueues, 5.5 Traditional Memory Balloon Device",
        "2023",
        "https://docs.oasis-open.org/virtio/virtio/v1.3/virtio-v1.3.html",
    ),
    "qemuballoon": _qemu("The balloon device", "hw/virtio/virtio-balloon.c"),
    "qemudiscard": _qemu("ram_block_discard_range()", "system/physmem.c"),
    "firecracker": Source(
        ("the Firecracker developers",),
        "Using the balloon device with Firecracker",
        "documentation, docs/ballooning.md",
        "2025",
        "https://github.com/firecracker-microvm/firecracker/blob/main/docs/ballooning.md",
    ),
    "clark2005live": Source(
        (
            *("Christopher Clark", "Keir Fraser", "Steven Hand", "Jacob Gorm Hansen", "Eric Jul"),
            *("Christian Limpach", "Ian Pratt", "Andrew Warfield"),
        ),
        "Live Migration of Virtual Machines",
        "NSDI '05, pp. 273-286",
        "2005",
        "https://www.usenix.org/conference/nsdi-05/live-migration-virtual-machines",
    ),
    "qemuram": _qemu("Pre-copy live migration", "migration/ram.c"),
    "xu2019clear": Source(
        ("Peter Xu",),
        "memory: Introduce memory listener hook log_clear()",
        "commit 077874e01fd5, QEMU 4.1",
        "2019",
        f"{QEMU}commit/077874e01fd575528d6f6ecf4612beaa5618fe96",
    ),
    "xu2019bitmap": Source(
        ("Peter Xu",),
        "kvm: Persistent per kvmslot dirty bitmap",
        "commit 9f4bf4baa8b8, QEMU 4.1",
        "2019",
        f"{QEMU}commit/9f4bf4baa8b820c7930e23c9566c9493db7e1d25",
    ),
    "wang2021bitmap": Source(
        (WANG,),
        "migration: clear the memory region dirty bitmap when skipping free pages",
        "commit 3143577d6a3f, QEMU 6.1",
        "2021",
        f"{QEMU}commit/3143577d6a3f363514219c03d936e653ede44f32",
    ),
    # Costs and recordings.
    "wrenger2025hyperalloc": Source(
        (
            *("Lars Wrenger", "Kenny Albes", "Marco Wurps", "Christian Dietrich"),
            "Daniel Lohmann",
        ),
        "HyperAlloc: Efficient VM Memory De/Inflation via Hypervisor-Shared Page-Frame Allocators",
        "EuroSys '25, pp. 702-719",
        "2025",
        "https://sra.uni-hannover.de/Publications/2025/hyperalloc-eurosys25",
    ),
    "freehint2026speed": _recorded("Measurements of freehint's own operations", "speed"),
    "freehint2026linux5.10": _recorded("Linux 5.10.223 guests under QEMU", "linux-5.10"),
    "freehint2026linux6.1": _recorded("Linux 6.1.192 guests under QEMU", "linux-6.1"),
    "freehint2026linux6.12": _recorded("Linux 6.12 guests under QEMU", "linux-6.12"),
    "freehint2026linux7.3": _recorded("Linux 7.3 guests under QEMU", "linux-7.3"),
    "freehint2026walkers": _recorded(
        "Walks of a kernel module over free lists", "linux-6.12/walkers"
    ),
}
