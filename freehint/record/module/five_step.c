// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The five steps that the thread ended with: the allocator calls when it runs short (1), blocks
 * are taken off the lists (2), reported (3) and put back when the host has used them (4); when the
 * allocator calls meanwhile, everything held is put back at once, in its own critical section (5).
 */
#include <linux/delay.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "fhwalk.h"
#include "fhwalk_trace.h"

static struct held {
	struct page *page;
	struct place at;
	bool here;		/* not put back yet */
} *held;

static int nr_held;		/* entries of this stroke, also those put back since */
static int nr_used;		/* of them, reports that the host has used */
static int nr_missing[MAX_ZONES][NR_ORDERS][MIGRATE_TYPES];	/* held of each list */
static bool interrupted;

enum putback { AT_STEP_4, AT_STEP_5 };

int alloc_five_step(void)
{
	held = vzalloc(nr_frames * sizeof(*held));
	return held ? 0 : -ENOMEM;
}

void free_five_step(void)
{
	vfree(held);
}

void note_isolated_used(void)
{
	nr_used++;
}

/* Put one block back at the tail of its list.  The caller holds the zone's lock. */
static void put_back(struct held *block, enum putback why)
{
	int mt = pageblock_type(block->page), order = block->at.order;
	u32 pfn = page_to_pfn(block->page);
	bool used = stay_state[pfn] & STAY_USED, merged;

	block->here = false;
	stay_state[pfn] = 0;
	nr_missing[block->at.zi][order][block->at.mt]--;
	putback_isolated_page(block->page, order, mt);
	merged = !PageBuddy(block->page) || page_private(block->page) != order;
	if (used && !merged && knob.mark) {
		/* Later strokes pass over it as long as this new stay lasts. */
		__SetPageReported(block->page);
		begin_stay(pfn, STAY_USED);
	}
	trace_w_putback(pfn, order, mt, merged, used, why);
}

static void put_all_back(int zi, enum putback why)
{
	/* Entries are complete before they are counted; those of this zone need its lock. */
	int i, n = smp_load_acquire(&nr_held);

	for (i = 0; i < n; i++)
		if (held[i].here && held[i].at.zi == zi)
			put_back(&held[i], why);
}

/* The lowest order of which blocks of this type are held while its list is empty; -1 if none. */
static int empty_order(int zi, int mt)
{
	struct place at = { .zi = zi, .mt = mt };

	for (at.order = 0; at.order < NR_ORDERS; at.order++)
		if (nr_missing[zi][at.order][mt] > 0 && list_empty(list_at(&at)))
			return at.order;
	return -1;
}

static int index_of(struct zone *zone)
{
	int zi;

	for (zi = 0; zi < nr_zones; zi++)
		if (zones[zi] == zone)
			return zi;
	return -1;
}

/*
 * Steps 1 and 5.  The allocator has just taken a block off a list of this zone: it holds the
 * zone's lock with interrupts off, so that everything can be put back before it looks again.
 */
void on_zone_locked(void *unused, struct page *page, unsigned int order, int mt, int refill)
{
	int zi, empty;

	if (!READ_ONCE(nr_held) || !knob.trigger || mt < 0 || mt >= MIGRATE_TYPES)
		return;
	zi = index_of(page_zone(page));
	if (zi < 0)
		return;
	empty = empty_order(zi, mt);
	if (empty < 0)
		return;
	trace_w_interrupt(page_to_pfn(page), empty, mt, zi, order, nr_missing[zi][empty][mt]);
	WRITE_ONCE(interrupted, true);
	ring_withdraw(zi);
	put_all_back(zi, AT_STEP_5);
}

/* Take one block off its list; returns whether the watermarks allowed it. */
static bool take_off(struct page *page, const struct place *at)
{
	u32 pfn = page_to_pfn(page);
	int pages = isolate_free_page(page, at->order);

	trace_w_isolate(pfn, at->order, at->mt, pages, 0, at->zi);
	if (!pages)
		return false;
	begin_stay(pfn, STAY_ISOLATED);
	nr_missing[at->zi][at->order][at->mt]++;
	held[nr_held] = (struct held) { .page = page, .at = *at, .here = true };
	/* Another CPU may put blocks back from now on, so the entry must be complete. */
	smp_store_release(&nr_held, nr_held + 1);
	return true;
}

static enum list_end take_blocks(const struct place *at, int *visited)
{
	struct list_head *head = list_at(at), *p, *next;

	for (p = head->next; p != head; p = next) {
		struct page *page = page_at(p);

		next = p->next;
		(*visited)++;
		if (PageReported(page))
			continue;
		/* Running empty shall be the allocator's doing, not ours. */
		if (knob.keep && list_is_singular(head))
			return LIST_BOUND;
		if (nr_held == nr_frames || (knob.capacity > 0 && nr_held >= knob.capacity))
			return LIST_CAPACITY;
		if (!take_off(page, at))
			return LIST_WATERMARK;
	}
	return LIST_END;
}

static enum stroke_end take_list(const struct place *at)
{
	unsigned long flags;
	enum list_end end;
	int visited = 0;

	spin_lock_irqsave(&zones[at->zi]->lock, flags);
	if (interrupted) {
		spin_unlock_irqrestore(&zones[at->zi]->lock, flags);
		return STROKE_INTERRUPTED;
	}
	trace_w_list_begin(-1, at->order, at->mt, at->zi, 0, 0);
	end = take_blocks(at, &visited);
	trace_w_list_end(-1, at->order, at->mt, at->zi, visited, end);
	spin_unlock_irqrestore(&zones[at->zi]->lock, flags);
	cond_resched();
	if (end == LIST_CAPACITY || (!knob.span && nr_held))
		return STROKE_CAPACITY;
	return STROKE_END;
}

/* Step 2. */
static enum stroke_end take_lists(void)
{
	enum stroke_end end = STROKE_END;
	int i;

	for (i = 0; i < nr_places() && end == STROKE_END; i++) {
		struct place at = place_at(i);

		/* Its free blocks cannot be isolated again. */
		if (at.mt != MIGRATE_ISOLATE)
			end = take_list(&at);
	}
	return end;
}

/* Offer a held block, unless step 5 has come; returns whether the ring took it. */
static bool offer(const struct held *block)
{
	struct zone *zone = zones[block->at.zi];
	struct report report = {
		.pfn = page_to_pfn(block->page), .zi = block->at.zi,
		.order = block->at.order, .mt = block->at.mt,
	};
	unsigned long flags;
	bool taken = false;

	spin_lock_irqsave(&zone->lock, flags);
	report.stay = stay[report.pfn];
	if (!interrupted)
		taken = ring_offer(&report, false, false);
	spin_unlock_irqrestore(&zone->lock, flags);
	return taken;
}

/* Step 3, which waits for a slot, and then until the host has used all reports. */
static int report_held(void)
{
	int n = 0;

	while (n < nr_held && !READ_ONCE(interrupted)) {
		if (offer(&held[n]))
			n++;
		else
			msleep(4);
	}
	while (READ_ONCE(nr_used) < nr_held && !READ_ONCE(interrupted))
		msleep(4);
	return n;
}

/* Step 4. */
static void release_held(void)
{
	unsigned long flags;
	int zi;

	for (zi = 0; zi < nr_zones; zi++) {
		spin_lock_irqsave(&zones[zi]->lock, flags);
		trace_w_hold_begin(-1, -1, -1, zi, 0, 0);
		put_all_back(zi, AT_STEP_4);
		trace_w_hold_end(-1, -1, -1, zi, 0, 0);
		spin_unlock_irqrestore(&zones[zi]->lock, flags);
	}
	WRITE_ONCE(nr_held, 0);
}

enum stroke_end five_step_stroke(int *offered)
{
	enum stroke_end end;

	nr_used = 0;
	interrupted = false;
	end = take_lists();
	*offered = report_held();
	if (interrupted)
		end = STROKE_INTERRUPTED;
	release_held();
	return end;
}
