// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Stays on the free lists.
 *
 * A report marks its block with PG_reported.  With the key page_reporting_enabled on, the kernel
 * itself clears that flag whenever the block leaves the free lists: so a block that carries the
 * flag and the stay's number has not left them since.  A move to another type's list ends no stay.
 */
#include <linux/vmalloc.h>

#include "fhwalk.h"

u32 *stay;
u8 *stay_state;
u32 next_stay = 1;

int alloc_stays(void)
{
	stay = vzalloc(nr_frames * sizeof(*stay));
	stay_state = vzalloc(nr_frames);
	return stay && stay_state ? 0 : -ENOMEM;
}

void free_stays(void)
{
	vfree(stay);
	vfree(stay_state);
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
