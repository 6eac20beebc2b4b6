"""The plain twin of mm/reclaim: lists of Page objects, to be read beside mm/vmscan.c.

It follows pages from list to list, and says which of them a pass over the node reclaims, and in
which order; allocating and freeing them is left to others.
"""

from dataclasses import dataclass, field

ANON, FILE = 0, 1
CLUSTER = 32


@dataclass
class Page:
    """A page that reclaim knows: ``struct folio``, the flags as names."""

    pfn: int
    place: int
    kind: int  # ANON or FILE
    flags: set = field(default_factory=set)
    writeback: bool = False

    def had(self, flag: str) -> bool:
        """Test and clear a flag."""
        was = flag in self.flags
        self.flags.discard(flag)
        return was


class TwinReclaim:
    """``struct lruvec`` and what reclaim needs of ``pg_data_t``; lists are newest first."""

    def __init__(self, swap: int, swappiness: int = 60):
        self.lists = {(kind, active): [] for kind in (ANON, FILE) for active in (False, True)}
        self.at: dict[int, Page] = {}  # by place
        self.shadows: dict[int, tuple[int, bool]] = {}
        self.slots: list[int | None] = [None] * swap
        self.next_slot = self.age = self.stolen = self.scanned = 0
        self.cost, self.activated, self.snapshot = [0, 0], [0, 0], [0, 0]
        self.swappiness = swappiness
        self.freed: list[int] = []
        self.ring: list[Page] = []
        self.dirty_at_tail = self.writeback_at_tail = False

    # lists

    def size(self, kind, active):
        """Pages on a list."""
        return len(self.lists[kind, active])

    def add(self, page, tail=False):
        """lruvec_add_folio()."""
        pages = self.lists[page.kind, "active" in page.flags]
        pages.insert(len(pages) if tail else 0, page)

    def remove(self, page):
        """lruvec_del_folio()."""
        self.lists[page.kind, "active" in page.flags].remove(page)

    def swap_left(self):
        """get_nr_swap_pages()."""
        return self.slots.count(None)

    def drop_slot(self, page):
        """folio_free_swap(): the content is then in memory only."""
        if page.had("swapcache"):
            self.slots[self.slots.index(page.place)] = None
            page.flags.add("dirty")

    # pages come, are used and go

    def come(self, pfn, place, kind, dirty=False):
        """filemap_add_folio(), do_anonymous_page(), do_swap_page()."""
        page = self.at[place] = Page(pfn, place, kind)
        shadow = self.shadows.pop(place, None)
        if kind == ANON and shadow:
            page.flags.add("swapcache")
        if shadow and not (kind == FILE and dirty):
            self.refault(page, *shadow)
        self.add(page)
        if kind == ANON:
            page.flags |= {"mapped", "young"}
            if not shadow:
                page.flags.add("dirty")
            elif 2 * self.swap_left() < len(self.slots):
                self.drop_slot(page)
        elif dirty:
            page.flags.add("dirty")

    def refault(self, page, age, workingset):
        """workingset_refault()."""
        size = self.size(FILE, True)
        if page.kind == ANON:
            size += self.size(FILE, False)
        if self.swap_left():
            size += self.size(ANON, True)
            size += self.size(ANON, False) if page.kind == FILE else 0
        if self.age - age > size:
            return
        page.flags.add("active")
        self.age += 1
        self.activated[page.kind] += 1
        if workingset:
            page.flags.add("workingset")
            self.note_cost(page.kind, 1)

    def note_cost(self, kind, pages):
        """lru_note_cost()."""
        self.cost[kind] += pages
        if sum(self.cost) > sum(map(len, self.lists.values())) // 4:
            self.cost = [cost // 2 for cost in self.cost]

    def access(self, place):
        """folio_mark_accessed()."""
        page = self.at[place]
        if "referenced" not in page.flags:
            page.flags.add("referenced")
        elif "active" not in page.flags:
            self.remove(page)
            page.flags = page.flags - {"referenced"} | {"active"}
            self.add(page)
            self.age += 1

    def touch(self, place, write):
        """An access through a page table."""
        page = self.at[place]
        page.flags |= {"mapped", "young"}
        if write:
            if page.kind == ANON and not page.writeback:
                self.drop_slot(page)
            page.flags.add("dirty")

    def write_out(self, page):
        """folio_start_writeback()."""
        page.flags.discard("dirty")
        page.writeback = True
        self.ring.append(page)

    def written(self):
        """folio_end_writeback() of the oldest, folio_rotate_reclaimable()."""
        page = self.ring.pop(0)
        page.writeback = False
        if page.had("reclaim") and "dirty" not in page.flags:
            self.remove(page)
            page.flags.discard("active")
            self.add(page, tail=True)

    # a pass over the node

    def low(self, kind):
        """inactive_is_low() below 1 GiB."""
        return self.size(kind, False) < self.size(kind, True)

    def counts(self, priority, free, high):
        """prepare_scan_count(), get_scan_count(): what to deactivate and pages for each list."""
        shrink = [self.low(k) or self.activated[k] != self.snapshot[k] for k in (ANON, FILE)]
        inactive = self.size(FILE, False)
        trim = inactive >> priority and not shrink[FILE]
        cache = inactive + self.size(FILE, True) + free
        tiny = cache <= high and not shrink[ANON] and self.size(ANON, False) >> priority
        share = {ANON: (0, 1), FILE: (1, 1)}
        if self.swap_left() == 0:
            pass
        elif priority == 0 and self.swappiness:
            share = {ANON: (1, 1), FILE: (1, 1)}
        elif tiny:
            share = {ANON: (1, 1), FILE: (0, 1)}
        elif not trim:
            total = sum(self.cost)
            costs = [total + cost for cost in self.cost]
            weights = self.swappiness, 200 - self.swappiness
            parts = [w * (3 * total + 1) // (c + 1) for w, c in zip(weights, costs, strict=True)]
            share = {k: (parts[k], sum(parts)) for k in (ANON, FILE)}
        left = {}
        for kind, active in self.lists:
            number, of = share[kind]
            left[kind, active] = (self.size(kind, active) >> priority) * number // of
        return shrink, left

    def shrink_node(self, priority, wanted, free, high, kswapd=True):
        """shrink_node(), shrink_lruvec(); return the pages reclaimed."""
        shrink, left = self.counts(priority, free, high)
        target, got, self.seen = dict(left), 0, []
        whole = not kswapd and priority == 12
        while left[ANON, False] or left[FILE, True] or left[FILE, False]:
            for (kind, active), pages in list(left.items()):
                batch = min(pages, CLUSTER)
                left[kind, active] -= batch
                if not batch:
                    continue
                if not active:
                    got += self.shrink_inactive(kind, batch, kswapd)
                elif shrink[kind]:
                    self.shrink_active(kind, batch)
            if got < wanted or whole:
                continue
            sums = [left[k, False] + left[k, True] for k in (ANON, FILE)]
            if not all(sums):
                break
            small = ANON if sums[FILE] > sums[ANON] else FILE
            percent = sums[small] * 100 // (target[small, False] + target[small, True] + 1)
            for active in (False, True):
                left[small, active] = 0
                of = target[1 - small, active]
                scanned = of - left[1 - small, active]
                left[1 - small, active] = max(of * (100 - percent) // 100 - scanned, 0)
        if self.slots and self.low(ANON):
            self.shrink_active(ANON, CLUSTER)
        if kswapd:
            waiting = [page for page, why in self.seen if why == "writeback"]
            unqueued = [page for page, why in self.seen if why == "unqueued"]
            self.writeback_at_tail |= bool(waiting) and len(waiting) == self.taken()
            self.dirty_at_tail |= len(unqueued) == self.taken(FILE)
        self.stolen += got
        return got

    def taken(self, kind=None):
        """Pages isolated in this pass."""
        return sum(why == "taken" and kind in (None, p.kind) for p, why in self.seen)

    def isolate(self, kind, active, pages):
        """isolate_lru_folios(): oldest first."""
        found = self.lists[kind, active]
        taken = [found.pop() for _ in range(min(pages, len(found)))]
        return taken

    def put_back(self, page):
        """move_folios_to_lru()."""
        self.add(page)
        self.age += "active" in page.flags

    def shrink_active(self, kind, pages):
        """shrink_active_list()."""
        for page in self.isolate(kind, True, pages):
            page.flags -= {"young", "active"}
            page.flags.add("workingset")
            self.put_back(page)

    def shrink_inactive(self, kind, pages, kswapd):
        """shrink_inactive_list(), shrink_folio_list()."""
        before, gone, handed = len(self.ring), [], 0
        for page in (taken := self.isolate(kind, False, pages)):
            self.seen.append((page, "taken"))
            self.scanned += 1
            fate = self.look_at(page, kswapd)
            if fate == "free":
                gone.append(page)
                del self.at[page.place]
                self.shadows[page.place] = self.age, "workingset" in page.flags
                self.age += 1
                continue
            if fate == "activate":
                if 2 * self.swap_left() < len(self.slots) and not page.writeback:
                    self.drop_slot(page)
                page.flags.add("active")
            self.put_back(page)
        handed = len(self.ring) - before
        self.freed += [page.pfn for page in reversed(gone)]
        if taken:
            self.note_cost(kind, handed)
        return len(gone)

    def look_at(self, page, kswapd):
        """The checks of shrink_folio_list(): "free", "keep" or "activate"."""
        if page.kind == FILE and "dirty" in page.flags and not page.writeback:
            self.seen.append((page, "unqueued"))
        if page.writeback:
            if not (kswapd and "reclaim" in page.flags and self.writeback_at_tail):
                page.flags.add("reclaim")
                self.seen.append((page, "writeback"))
            return "activate"
        young, referenced = page.had("young"), page.had("referenced")
        if young:
            page.flags.add("referenced")
            return "activate" if referenced else "keep"
        if page.kind == ANON and "swapcache" not in page.flags:
            if not self.swap_left():
                return "activate"
            self.give_slot(page)
        page.flags.discard("mapped")
        if "dirty" not in page.flags:
            return "free"
        again = kswapd and "reclaim" in page.flags and self.dirty_at_tail
        if page.kind == FILE and not again:
            page.flags.add("reclaim")
            return "activate"
        if page.kind == FILE and referenced:
            return "keep"
        page.flags.add("reclaim")
        self.write_out(page)
        return "keep"

    def give_slot(self, page):
        """add_to_swap(): the next free slot after the last given."""
        while self.slots[self.next_slot] is not None:
            self.next_slot = (self.next_slot + 1) % len(self.slots)
        self.slots[self.next_slot] = page.place
        self.next_slot = (self.next_slot + 1) % len(self.slots)
        page.flags |= {"swapcache", "dirty"}
