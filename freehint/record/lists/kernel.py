"""Walk a kernel's lists with drgn, in a dump or in the running kernel.

Names are the kernel's.  Sizes, offsets and the migratetypes come from its debug symbols, so the
same code walks 5.10, 6.1 and 6.12; where a field has come or gone, it is asked for.

Sources: include/linux/mmzone.h; mm/page_alloc.c, order_to_pindex(); mm/sparse.c.
"""

import struct

from freehint.config import InputError, extra
from freehint.mm.memory import PAGEBLOCK_ORDER
from freehint.record.lists.program import EXTRA, require_drgn
from freehint.record.lists.tables import Lists, TornError, table

SECTION_BITS = 27 - 12  # arch/x86/include/asm/sparsemem.h, SECTION_SIZE_BITS
SECTION_MARKED_PRESENT = 1
BITS_PER_PAGEBLOCK = 4  # three of the type, one of compaction's skip
PCP_ORDERS_LISTS = 12  # lists of orders 0 to PAGE_ALLOC_COSTLY_ORDER; then those of THP
PCP_TYPES = 3
# Counters of struct per_cpu_pages; each kernel has some of them.
PCP_COUNTERS = (
    *("count", "high", "high_min", "high_max", "batch", "flags", "free_factor"),
    *("alloc_factor", "free_count", "expire"),
)


class Reader:
    """Reads the lists of one kernel.

    Parameters
    ----------
    program : drgn.Program
    """

    def __init__(self, program):
        self.drgn = require_drgn()
        self.percpu = extra("drgn.helpers.linux.percpu", "freehint record", EXTRA)
        cpumask = extra("drgn.helpers.linux.cpumask", "freehint record", EXTRA)
        self.program = program
        page = program.type("struct page")
        self.page_size = self.drgn.sizeof(page)
        self.vmemmap = int(program["vmemmap_base"])
        self.reported_bit = int(program.constant("PG_reported"))
        self.links = {
            name: self.drgn.offsetof(page, name)
            for name in ("lru", "buddy_list", "pcp_list")
            if page.has_member(name)
        }
        self.split_pageset = program.type("struct zone").has_member("per_cpu_pageset")
        self.cpus = list(cpumask.for_each_online_cpu(program))
        nodes = int(program["nr_online_nodes"])
        if nodes != 1:
            raise InputError(f"the kernel has {nodes} NUMA nodes, and freehint's memory has one")
        every = program["node_data"][0].node_zones
        zones = (every[index] for index in range(every.type_.length))
        self.zones = [zone for zone in zones if int(zone.present_pages)]

    def lists(self) -> Lists:
        """All lists as they are now, without a check against the counters.

        Raises
        ------
        TornError
            A list's links do not lead round, or lead to no memory.
        """
        free, pcp, blocks, zones = [], [], [], []
        try:
            for zone in self.zones:
                name = zone.name.string_().decode()
                zones.append(self._zone(zone, name))
                free += self._free(zone, name)
                pcp += self._pcp(zone, name)
                blocks += self._pageblocks(zone, name)
        except self.drgn.FaultError as error:
            raise TornError(f"the snapshot is torn: a link leads nowhere: {error}") from None
        meta = {**self._kernel(), "zones": zones, "trace": self._trace()}
        return Lists(table("freelist", free), table("pcp", pcp), table("pageblock", blocks), meta)

    def counters(self) -> list[int]:
        """Counters that change whenever a page is allocated or freed, or a block moves."""
        values = []
        events = self.program.type("enum vm_event_item").enumerators
        wanted = [value for name, value in events if name.startswith(("PGALLOC", "PGFREE"))]
        for cpu in self.cpus:
            states = self.percpu.per_cpu(self.program["vm_event_states"], cpu).event
            values += [int(states[event]) for event in wanted]
        for zone in self.zones:
            values += [int(area.nr_free) for area in zone.free_area]
            values += [int(self._pageset(zone, cpu).count) for cpu in self.cpus]
        return values

    def _pageset(self, zone, cpu: int):
        """A CPU's ``struct per_cpu_pages`` of a zone; before 5.14 the statistics are beside it."""
        if self.split_pageset:
            return self.percpu.per_cpu_ptr(zone.per_cpu_pageset, cpu)[0]
        return self.percpu.per_cpu_ptr(zone.pageset, cpu).pcp

    def _walk(self, head, link: str, most: int) -> list[tuple[int, int]]:
        """The pages of a list: the pfn and the flags of each, from the head on."""
        first = head.address_of_().value_()
        offset = self.links.get(link, self.links["lru"])
        read, size = self.program.read, self.page_size
        before, at = first, self.program.read_u64(first)
        found = []
        while at != first:
            page = read(at - offset, size)
            after, back = struct.unpack_from("<QQ", page, offset)
            if back != before or len(found) > most:
                raise TornError("the snapshot is torn: the links of a list do not lead round")
            (flags,) = struct.unpack_from("<Q", page)
            found.append(((at - offset - self.vmemmap) // size, flags))
            before, at = at, after
        return found

    def _free(self, zone, name: str) -> list[tuple]:
        """Rows of the table of free blocks."""
        rows, most = [], int(zone.present_pages)
        for order, area in enumerate(zone.free_area):
            for migratetype, head in enumerate(area.free_list):
                for position, (pfn, flags) in enumerate(self._walk(head, "buddy_list", most)):
                    reported = flags >> self.reported_bit & 1
                    rows.append((name, order, migratetype, position, pfn, reported))
        return rows

    def _pcp(self, zone, name: str) -> list[tuple]:
        """Rows of the table of pcp lists."""
        rows, most = [], int(zone.present_pages)
        for cpu in self.cpus:
            pages = self._pageset(zone, cpu)
            for pindex, head in enumerate(pages.lists):
                if pindex < PCP_ORDERS_LISTS:
                    order, migratetype = divmod(pindex, PCP_TYPES)
                else:
                    order, migratetype = PAGEBLOCK_ORDER, pindex - PCP_ORDERS_LISTS
                for position, (pfn, _) in enumerate(self._walk(head, "pcp_list", most)):
                    rows.append((name, cpu, pindex, order, migratetype, position, pfn))
        return rows

    def _pageblocks(self, zone, name: str) -> list[tuple]:
        """Rows of the table of pageblocks; those of sections that are absent are holes."""
        sections = self.program["mem_section"]
        root_size = 4096 // self.drgn.sizeof(self.program.type("struct mem_section"))
        size = 1 << PAGEBLOCK_ORDER
        start = int(zone.zone_start_pfn)
        rows, words, known = [], None, None
        for pfn in range(start // size * size, start + int(zone.spanned_pages), size):
            number = pfn >> SECTION_BITS
            if number != known:
                known, words = number, None
                root = sections[number // root_size]
                section = root[number % root_size] if root else None
                if section is not None and int(section.section_mem_map) & SECTION_MARKED_PRESENT:
                    nr_words = (1 << SECTION_BITS - PAGEBLOCK_ORDER) * BITS_PER_PAGEBLOCK // 64
                    flags = section.usage.pageblock_flags
                    words = [int(flags[i]) for i in range(nr_words)]
            if words is None:
                continue
            bit = (pfn >> PAGEBLOCK_ORDER) % (1 << SECTION_BITS - PAGEBLOCK_ORDER)
            bit *= BITS_PER_PAGEBLOCK
            value = words[bit // 64] >> bit % 64
            rows.append((name, pfn >> PAGEBLOCK_ORDER, pfn, value & 7, value >> 3 & 1))
        return rows

    def _zone(self, zone, name: str) -> dict:
        """A zone's entry in meta.json."""
        free_pages = self.program.constant("NR_FREE_PAGES")
        stats = zone.per_cpu_zonestats if self.split_pageset else zone.pageset
        stats = [self.percpu.per_cpu_ptr(stats, cpu) for cpu in self.cpus]
        pending = [int(one.vm_stat_diff[free_pages]) for one in stats]
        marks = zip(("min", "low", "high"), zone._watermark, strict=False)
        record = {
            "name": name,
            "index": self._index(zone),
            "address_low31": zone.address_of_().value_() & 0x7FFFFFFF,
            "start_pfn": int(zone.zone_start_pfn),
            "spanned": int(zone.spanned_pages),
            "present": int(zone.present_pages),
            "managed": int(zone.managed_pages.counter),
            "watermark": {mark: int(value) for mark, value in marks},
            "watermark_boost": int(zone.watermark_boost),
            "flags": int(zone.flags),
            "nr_reserved_highatomic": int(zone.nr_reserved_highatomic),
            "lock": int(zone.lock.rlock.raw_lock.val.counter),
            "lowmem_reserve": [int(pages) for pages in zone.lowmem_reserve],
            # The counter, and the CPUs' differences that it does not have yet.
            "nr_free_pages_stat": int(zone.vm_stat[free_pages].counter) + sum(pending),
            "nr_free_pages_cpu_diff": pending,
            "nr_free": [int(area.nr_free) for area in zone.free_area],
            "pcp": [self._pcp_counters(zone, cpu) for cpu in self.cpus],
        }
        if zone.type_.has_member("nr_free_highatomic"):
            record["nr_free_highatomic"] = int(zone.nr_free_highatomic)
        return record

    def _index(self, zone) -> int:
        """The zone's number, as enum zone_type has it."""
        first = zone.zone_pgdat.node_zones[0].address_of_().value_()
        return (zone.address_of_().value_() - first) // self.drgn.sizeof(zone.type_)

    def _pcp_counters(self, zone, cpu: int) -> dict:
        pages = self._pageset(zone, cpu)
        has = pages.type_.has_member
        return {"cpu": cpu, **{n: int(pages.member_(n)) for n in PCP_COUNTERS if has(n)}}

    def _kernel(self) -> dict:
        """What meta.json says of the kernel as a whole."""
        program = self.program
        name = program["init_uts_ns"].name
        types = [None] * int(program.constant("MIGRATE_TYPES"))
        for enumerator, value in program.type("enum migratetype").enumerators:
            if value < len(types) and types[value] is None and enumerator != "MIGRATE_PCPTYPES":
                types[value] = enumerator.removeprefix("MIGRATE_")
        return {
            "kernel": name.release.string_().decode(),
            "version": name.version.string_().decode(),
            "sizeof_struct_page": self.page_size,
            "max_order": self.zones[0].free_area.type_.length,
            "pageblock_order": PAGEBLOCK_ORDER,
            "migratetypes": types,
            "vmemmap_base": hex(self.vmemmap),
            "page_group_by_mobility_disabled": int(program["page_group_by_mobility_disabled"]),
            "watermark_boost_factor": int(program["watermark_boost_factor"]),
            **self._key("page_alloc_shuffle_key"),
        }

    def _key(self, name: str) -> dict:
        """A static key, if the kernel has it."""
        try:
            return {name: int(self.program[name].key.enabled.counter)}
        except KeyError:
            return {}

    def _trace(self) -> list[dict]:
        """How far the trace has come: ftrace's main buffer, one record per CPU."""
        buffer = self.program["global_trace"].array_buffer.buffer
        records = []
        for cpu in self.cpus:
            one = buffer.buffers[cpu]
            names = ("entries", "overrun", "commit_overrun", "dropped_events")
            counts = {name: int(one.member_(name).a.counter) for name in names}
            records.append({"cpu": cpu, **counts, "read": int(one.read)})
        return records
