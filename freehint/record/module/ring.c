// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The ring between the walker and the host, and the host: a thread that takes reports now and
 * then.  It stands in for a hypervisor, so that taking a report has its place in the trace.
 */
#include <linux/kthread.h>
#include <linux/vmalloc.h>

#include "fhwalk.h"
#include "fhwalk_trace.h"

static struct report *slots;
static u32 head, tail;			/* reports ever put in, and ever taken out */
static DEFINE_RAW_SPINLOCK(ring_lock);	/* nests inside the zones' locks */

int alloc_ring(void)
{
	slots = vzalloc(MAX_RING * sizeof(*slots));
	return slots ? 0 : -ENOMEM;
}

void free_ring(void)
{
	vfree(slots);
}

bool ring_full(void)
{
	return READ_ONCE(head) - READ_ONCE(tail) >= knob.ring;
}

bool ring_empty(void)
{
	return READ_ONCE(head) == READ_ONCE(tail);
}

/*
 * Offer one report; returns whether it found a slot.  The caller holds the zone's lock.  The row
 * is written under the ring's lock, so that the host cannot take the report before its row.
 */
bool ring_offer(const struct report *report, bool again, bool trace_lost)
{
	unsigned long flags;
	bool taken;

	raw_spin_lock_irqsave(&ring_lock, flags);
	taken = !ring_full();
	if (taken)
		slots[head++ % MAX_RING] = *report;
	if (taken || trace_lost)
		trace_w_report(report->pfn, report->order, report->mt, taken, report->stay, again);
	raw_spin_unlock_irqrestore(&ring_lock, flags);
	return taken;
}

/* Take everything back that the host has not taken.  Interrupts are off. */
void ring_withdraw(int zi)
{
	raw_spin_lock(&ring_lock);
	if (!ring_empty()) {
		trace_w_withdraw(-1, -1, -1, head - tail, 0, zi);
		tail = head;
	}
	raw_spin_unlock(&ring_lock);
}

/* The values of the field a of w_used. */
enum use { STALE, STILL_FREE, STILL_ISOLATED, FREE_BY_ORDER };

static enum use use_of(const struct report *report)
{
	struct page *page = pfn_to_page(report->pfn);

	if (stay_state[report->pfn] & STAY_ISOLATED && stay[report->pfn] == report->stay)
		return STILL_ISOLATED;
	if (knob.mark)
		return stay_lasts(report->pfn, report->stay, report->order) ? STILL_FREE : STALE;
	/* Without marks nothing tells whether the block was away in between. */
	return PageBuddy(page) && page_private(page) == report->order ? FREE_BY_ORDER : STALE;
}

static void host_use(const struct report *report)
{
	enum use use = use_of(report);

	if (use == STILL_FREE || use == STILL_ISOLATED)
		stay_state[report->pfn] |= STAY_USED;
	if (use == STILL_ISOLATED)
		note_isolated_used();
	trace_w_used(report->pfn, report->order, report->mt, use, report->stay, report->zi);
}

/* Take the oldest report, if it is still one of this zone, whose lock is held. */
static void take_one(struct zone *zone)
{
	raw_spin_lock(&ring_lock);
	if (!ring_empty() && zones[slots[tail % MAX_RING].zi] == zone)
		host_use(&slots[tail++ % MAX_RING]);
	raw_spin_unlock(&ring_lock);
}

/*
 * The host takes up to ``most`` reports; returns how many it tried to take.  ``locked`` says that
 * the caller holds the locks of all zones.
 */
int host_take(int most, bool locked)
{
	unsigned long flags;
	int i;

	for (i = 0; i < most && !ring_empty(); i++) {
		struct zone *zone = zones[slots[READ_ONCE(tail) % MAX_RING].zi];

		/* The zone's lock comes first: whether the block is still free must not change. */
		if (!locked)
			spin_lock_irqsave(&zone->lock, flags);
		take_one(zone);
		if (!locked)
			spin_unlock_irqrestore(&zone->lock, flags);
	}
	return i;
}

int host_main(void *unused)
{
	while (!kthread_should_stop()) {
		schedule_timeout_interruptible(max(1UL, msecs_to_jiffies(knob.host_ms)));
		host_take(knob.host_batch, false);
	}
	return 0;
}
