// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Stays on the free lists, and the reports of this walk.
 *
 * A report marks its block with PG_reported.  With the key page_reporting_enabled on, the kernel
 * itself clears that flag whenever the block leaves the free lists: so a block that carries the
 * flag and the stay's number has not left them since.  A move to another type's list ends no stay.
 */
#include <linux/vmalloc.h>

#include "fhwalk.h"
#include "fhwalk_trace.h"

u32 *stay;
u8 *stay_state;
u32 next_stay = 1;

static struct report *reports;	/* oldest first */
static u32 nr_reports;

int alloc_stays(void)
{
	stay = vzalloc(nr_frames * sizeof(*stay));
	stay_state = vzalloc(nr_frames);
	reports = vzalloc(nr_frames * sizeof(*reports));
	return stay && stay_state && reports ? 0 : -ENOMEM;
}

void free_stays(void)
{
	vfree(stay);
	vfree(stay_state);
	vfree(reports);
}

u32 begin_stay(u32 pfn, u8 state)
{
	stay[pfn] = next_stay++;
	stay_state[pfn] = state;
	return stay[pfn];
}

bool stay_lasts(u32 pfn, u32 id, int order)
{
	struct page *page = pfn_to_page(pfn);

	return PageBuddy(page) && page_private(page) == order && PageReported(page) &&
	       stay[pfn] == id;
}

void forget_reports(void)
{
	nr_reports = 0;
}

void note_report(const struct report *report)
{
	if (nr_reports < nr_frames)
		reports[nr_reports++] = *report;
}

static bool on_list(struct list_head *node, struct list_head *head)
{
	struct list_head *p;

	list_for_each(p, head)
		if (p == node)
			return true;
	return false;
}

/*
 * Where the cursor stands: the node behind the newest report of this list whose stay has lasted
 * and which is still on this very list.  A bookmark node is not possible, because the allocator
 * would hand it out as a page.  With rotate=never this is the place of a bookmark as long as one
 * reported block is left: what stands before it was reported earlier, or came to the head later.
 * If none is left, the place is lost and the stroke begins at the head.
 */
struct list_head *find_cursor(struct list_head *head, const struct place *at)
{
	int gone = 0;
	u32 i;

	for (i = nr_reports; i-- > 0;) {
		const struct report *r = &reports[i];
		struct list_head *node = &pfn_to_page(r->pfn)->buddy_list;

		if (r->zi != at->zi || r->order != at->order || r->mt != at->mt)
			continue;
		if (stay_lasts(r->pfn, r->stay, at->order) && on_list(node, head)) {
			trace_w_cursor(r->pfn, at->order, at->mt, gone, 0, at->zi);
			return node->next;
		}
		gone++;
	}
	trace_w_cursor(-1, at->order, at->mt, gone, 0, at->zi);
	return head->next;
}
