// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The walker of v24 and what the thread proposed to change about it: rotation, and ways to resume.
 *
 * All work on a list is done under the zone's lock with interrupts off.
 */
#include <linux/delay.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "fhwalk.h"
#include "fhwalk_trace.h"

/* What a walk knows about one list. */
static struct list_state {
	u32 first, first_stay;	/* A: the first block that the ring took; valid if taken > 0 */
	u32 lap;		/* the length at the first stroke */
	u32 taken;		/* blocks that the ring took */
	bool seen, done;
} lists[MAX_ZONES][NR_ORDERS][MIGRATE_TYPES];

static struct page **moved;	/* blocks to be rotated when the list is left */
static u32 first_stay_of_walk;
static int nr_offered;		/* in this stroke */

u32 nr_taken;			/* in this walk */

int alloc_walk(void)
{
	moved = vzalloc(nr_frames * sizeof(*moved));
	return moved ? 0 : -ENOMEM;
}

void free_walk(void)
{
	vfree(moved);
}

void begin_walk(void)
{
	forget_reports();
	nr_taken = 0;
	first_stay_of_walk = next_stay;
	memset(lists, 0, sizeof(lists));
}

static struct list_state *state_of(const struct place *at)
{
	return &lists[at->zi][at->order][at->mt];
}

/* Whether a block is A of this list, known by its pfn alone. */
bool is_first(const struct place *at, u32 pfn)
{
	struct list_state *list = state_of(at);

	return list->taken && list->first == pfn;
}

static void note_taken(const struct report *report, struct list_state *list)
{
	if (!list->taken++) {
		list->first = report->pfn;
		list->first_stay = report->stay;
	}
	nr_taken++;
	note_report(report);
}

/* Report one block; returns whether the ring took it. */
static bool report_block(struct page *page, const struct place *at)
{
	struct report report = {
		.pfn = page_to_pfn(page), .zi = at->zi, .order = at->order, .mt = at->mt,
	};
	bool again = knob.mark && PageReported(page);

	/* A block that the ring loses has a stay's number as well, but no mark. */
	if (knob.mark && !again)
		begin_stay(report.pfn, 0);
	report.stay = stay[report.pfn];
	/* The whole stroke holds the locks, so the host must be polled under them. */
	if (knob.lock == WHOLE_STROKE && ring_full())
		host_take(knob.host_batch, true);
	nr_offered++;
	if (!ring_offer(&report, again, true))
		return false;
	if (knob.mark)
		__SetPageReported(page);
	note_taken(&report, state_of(at));
	return true;
}

/* The number of blocks from a node on. */
static u32 length_from(struct list_head *p, struct list_head *head)
{
	u32 n = 0;

	for (; p != head; p = p->next)
		n++;
	return n;
}

/* Whether the walk over a list is over at this block, which is not reported then. */
static enum list_end lap_over(struct page *page, const struct place *at)
{
	struct list_state *list = state_of(at);
	u32 pfn = page_to_pfn(page);

	if (knob.resume == SCAN_FOR_FIRST && list->taken) {
		/* By its stay: if A was allocated and has come back, it is another block. */
		if (list->first == pfn && stay_lasts(pfn, list->first_stay, at->order)) {
			trace_w_first(pfn, at->order, at->mt, list->taken, list->lap, at->zi);
			return LIST_FIRST;
		}
		if (list->taken >= list->lap) {
			trace_w_lap(pfn, at->order, at->mt, list->taken, list->lap, at->zi);
			return LIST_LAP;
		}
	}
	/* A mark left by an earlier walk does not count: its stay has an older number. */
	if (knob.resume == SCAN_FOR_MARK && PageReported(page) &&
	    stay[pfn] >= first_stay_of_walk) {
		trace_w_first(pfn, at->order, at->mt, list->taken, list->lap, at->zi);
		return LIST_FIRST;
	}
	return LIST_GOES_ON;
}

static bool host_knows(struct page *page)
{
	return knob.resume == HOST_FEEDBACK && PageReported(page) &&
	       stay_state[page_to_pfn(page)] & STAY_USED;
}

static void move_to_tail(struct page *page, const struct place *at, int number)
{
	list_move_tail(&page->buddy_list, list_at(at));
	trace_w_rotate(page_to_pfn(page), at->order, at->mt, at->zi, number, 0);
}

/* Report one block, and rotate it if that is due at once. */
static enum list_end visit(struct page *page, const struct place *at, int *nr_moved)
{
	if (knob.capacity > 0 && nr_offered >= knob.capacity)
		return LIST_CAPACITY;	/* the caller's buffer is full: it refuses this block */
	if (!report_block(page, at))
		return knob.full == STOP ? LIST_RING_FULL : LIST_GOES_ON;
	if (knob.rotate == EACH_REPORT)
		move_to_tail(page, at, 0);
	else if (knob.rotate == ON_EXIT)
		moved[(*nr_moved)++] = page;
	return LIST_GOES_ON;
}

/* The loop over one list; ``visited`` counts the blocks looked at. */
static enum list_end walk_blocks(const struct place *at, int *visited, int *nr_moved)
{
	struct list_head *head = list_at(at), *p, *next;
	u32 bound = U32_MAX;

	p = knob.resume == CURSOR ? find_cursor(head, at) : head->next;
	/* Moved blocks come again at the tail, so each_report must know where the list ended. */
	if (knob.rotate == EACH_REPORT)
		bound = length_from(p, head);
	for (; p != head; p = next) {
		struct page *page = page_at(p);
		enum list_end end;

		next = p->next;		/* before the block moves */
		if (bound-- == 0)
			return LIST_BOUND;
		(*visited)++;
		end = lap_over(page, at);
		if (end == LIST_GOES_ON && !host_knows(page))
			end = visit(page, at, nr_moved);
		if (end != LIST_GOES_ON)
			return end;
	}
	return LIST_END;
}

/* Walk one list under one hold.  The caller holds the lock. */
static enum list_end walk_list(const struct place *at)
{
	struct list_state *list = state_of(at);
	int visited = 0, nr_moved = 0, i;
	enum list_end end;

	trace_w_list_begin(-1, at->order, at->mt, at->zi, 0, 0);
	if (!list->seen) {
		list->seen = true;
		list->lap = length_from(list_at(at)->next, list_at(at));
	}
	end = walk_blocks(at, &visited, &nr_moved);
	list->done = end != LIST_CAPACITY && end != LIST_RING_FULL;
	/* In report order, and under the same hold: later the blocks could be gone. */
	for (i = 0; i < nr_moved; i++)
		move_to_tail(moved[i], at, i);
	trace_w_list_end(-1, at->order, at->mt, at->zi, visited, end);
	return end;
}

static void lock_all(unsigned long *flags)
{
	int i;

	local_irq_save(*flags);
	for (i = 0; i < nr_zones; i++)
		spin_lock_nested(&zones[i]->lock, i);
	trace_w_hold_begin(-1, -1, -1, 0, 0, 0);
}

static void unlock_all(unsigned long flags)
{
	int i;

	trace_w_hold_end(-1, -1, -1, nr_offered, 0, 0);
	for (i = nr_zones; i-- > 0;)
		spin_unlock(&zones[i]->lock);
	local_irq_restore(flags);
}

static enum list_end walk_list_alone(const struct place *at)
{
	unsigned long flags;
	enum list_end end;

	spin_lock_irqsave(&zones[at->zi]->lock, flags);
	end = walk_list(at);
	spin_unlock_irqrestore(&zones[at->zi]->lock, flags);
	cond_resched();
	return end;
}

/* Walk one list while all zones are locked, until the host has taken everything. */
static enum list_end walk_list_and_poll(const struct place *at)
{
	enum list_end end = walk_list(at);

	while (host_take(knob.host_batch, true))
		udelay(20);
	return end;
}

/* RESTART and HOST_FEEDBACK begin each stroke anew, so no list is ever done for them. */
static bool skipped(const struct place *at)
{
	return knob.resume != RESTART && knob.resume != HOST_FEEDBACK && state_of(at)->done;
}

static enum stroke_end walk_lists(void)
{
	int i;

	for (i = 0; i < nr_places(); i++) {
		struct place at = place_at(i);
		int before = nr_offered;
		enum list_end end;

		if (skipped(&at))
			continue;
		end = knob.lock == PER_LIST ? walk_list_alone(&at) : walk_list_and_poll(&at);
		if (end == LIST_RING_FULL)
			return STROKE_RING_FULL;
		if (end == LIST_CAPACITY || (!knob.span && nr_offered > before))
			return STROKE_CAPACITY;
	}
	return STROKE_END;
}

enum stroke_end walk_stroke(int *offered)
{
	unsigned long flags = 0;
	enum stroke_end end;

	nr_offered = 0;
	if (knob.lock == WHOLE_STROKE)
		lock_all(&flags);
	end = walk_lists();
	if (knob.lock == WHOLE_STROKE)
		unlock_all(flags);
	*offered = nr_offered;
	return end;
}
