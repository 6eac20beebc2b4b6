"""Generations of pages, plainly: which page stands where, as pages come, are used, age and go.

One zone; no writeback and no huge pages.  A list is a Python list, index 0 the newest.

Source: include/linux/mm_inline.h (lru_gen_..), inc_max_seq(), inc_min_seq(), sort_folio(),
scan_folios() of mm/vmscan.c, Linux 6.12.
"""

from dataclasses import dataclass, field

MAX_NR_GENS, MIN_NR_GENS, MIN_LRU_BATCH = 4, 2, 64


@dataclass
class Page:
    """A page: its kind (0 anonymous, 1 file), generation modulo 4, uses by read(2)."""

    kind: int
    gen: int
    reads: int = 0
    young: bool = False


@dataclass
class Generations:
    """``struct lru_gen_folio`` of one zone; ``lists[gen, kind]`` holds the pages' numbers."""

    max_seq: int = MIN_NR_GENS + 1
    min_seq: list[int] = field(default_factory=lambda: [0, 0])
    pages: dict[int, Page] = field(default_factory=dict)
    lists: dict[tuple[int, int], list[int]] = field(
        default_factory=lambda: {(gen, kind): [] for gen in range(4) for kind in range(2)}
    )

    def add(self, number: int, kind: int) -> None:
        """A faulted anonymous page, or a page read from a file.  Source: lru_gen_add_folio()."""
        oldest = self.min_seq[1]
        near = oldest + MIN_NR_GENS >= self.max_seq
        seq = self.max_seq if kind == 0 else oldest if near else oldest + 1
        self.pages[number] = Page(kind, seq % MAX_NR_GENS, young=kind == 0)
        self.lists[seq % MAX_NR_GENS, kind].insert(0, number)

    def forget(self, number: int) -> None:
        """Source: lru_gen_del_folio()."""
        for pages in self.lists.values():
            if number in pages:
                pages.remove(number)
        del self.pages[number]

    def older_than_all(self, number: int) -> int:
        """The generation after the oldest, unless it was promoted.  Source: folio_inc_gen()."""
        page = self.pages[number]
        oldest = self.min_seq[page.kind] % MAX_NR_GENS
        if page.gen == oldest:
            page.gen, page.reads = (oldest + 1) % MAX_NR_GENS, 0
        return page.gen

    def age(self, can_swap: bool) -> None:
        """Promote young pages, begin a generation.  Source: walk_mm(), inc_max_seq()."""
        for page in self.pages.values():
            if page.young and (can_swap or page.kind == 1):
                page.gen, page.reads, page.young = self.max_seq % MAX_NR_GENS, 0, False
        for kind in (1, 0):
            if self.max_seq - self.min_seq[kind] + 1 == MAX_NR_GENS:
                self.end_oldest(kind, can_swap)
        self.max_seq += 1

    def end_oldest(self, kind: int, can_swap: bool) -> None:
        """Source: inc_min_seq()."""
        pages = self.lists[self.min_seq[kind] % MAX_NR_GENS, kind]
        while pages and (kind == 1 or can_swap):
            number = pages.pop()
            self.lists[self.older_than_all(number), kind].append(number)
        self.min_seq[kind] += 1

    def evict_file_pages(self) -> list[int]:
        """A batch from the oldest generation of files, and its end.  Source: evict_folios()."""
        oldest = self.min_seq[1] % MAX_NR_GENS
        pages, batch = self.lists[oldest, 1], []
        if self.max_seq - self.min_seq[1] + 1 == MIN_NR_GENS:
            return batch
        while pages and len(batch) < MIN_LRU_BATCH:
            number = pages.pop()
            page = self.pages[number]
            if page.gen != oldest:
                self.lists[page.gen, 1].insert(0, number)
            elif page.reads > 4:  # the counter of uses is full
                self.lists[self.older_than_all(number), 1].append(number)
            else:
                batch.append(number)
        while self.min_seq[1] + MIN_NR_GENS <= self.max_seq:
            if self.lists[self.min_seq[1] % MAX_NR_GENS, 1]:
                break
            self.min_seq[1] += 1
        for number in batch:
            del self.pages[number]
        return batch
