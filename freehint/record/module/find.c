// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * What the kernel does not export, and the checks that it is the kernel that this was built for.
 *
 * The module reads and changes struct zone and struct page directly.  A wrong offset there would
 * destroy the guest's memory, so a layout that nobody has checked is refused.
 */
#include <linux/jump_label.h>
#include <linux/kprobes.h>
#include <linux/tracepoint.h>
#include <linux/utsname.h>
#include <generated/utsrelease.h>
#include <asm/cpufeature.h>

#include "fhwalk.h"

struct zone *zones[MAX_ZONES];
int nr_zones;
u32 nr_frames;			/* pfns of all zones are below */

int (*isolate_free_page)(struct page *page, unsigned int order);
void (*putback_isolated_page)(struct page *page, unsigned int order, int mt);
static unsigned long (*get_pageblock_flags)(const struct page *page, unsigned long pfn,
					    unsigned long mask);
static struct static_key *page_reporting_key;
static struct tracepoint *zone_locked;

/* Offsets and sizes in bytes, of Debian's kernels for amd64 and cloud-amd64. */
static const struct layout {
	size_t zone, lists, lock, area, types, orders, page, node;
} checked = {
	.zone = 1536,
	.lists = 256,
	.lock = LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0) ? 1232 : 1248,
	.area = 88,
	.types = 5,
	.orders = 11,
	.page = 64,
	.node = 8,
};

static const struct layout built = {
	.zone = sizeof(struct zone),
	.lists = offsetof(struct zone, free_area),
	.lock = offsetof(struct zone, lock),
	.area = sizeof(struct free_area),
	.types = MIGRATE_TYPES,
	.orders = NR_ORDERS,
	.page = sizeof(struct page),
	.node = offsetof(struct page, buddy_list),
};

int check_kernel(void)
{
	if (strcmp(utsname()->release, UTS_RELEASE)) {
		pr_err("built for %s, but this kernel is %s\n", UTS_RELEASE, utsname()->release);
		return -ENODEV;
	}
	if (memcmp(&built, &checked, sizeof(built))) {
		pr_err("was not checked on this layout: struct zone of %zu bytes (free_area at %zu, lock at %zu), struct free_area of %zu, %zu types, %zu orders, struct page of %zu (buddy_list at %zu)\n",
		       built.zone, built.lists, built.lock, built.area, built.types, built.orders,
		       built.page, built.node);
		return -ENODEV;
	}
	if (cpu_feature_enabled(X86_FEATURE_IBT)) {
		/* The kernel seals functions that it never calls by a pointer itself. */
		pr_err("cannot call unexported functions while IBT is on: boot with ibt=off\n");
		return -ENODEV;
	}
	return 0;
}

/* kallsyms_lookup_name() is not exported either, but a kprobe finds it. */
static unsigned long lookup(const char *name)
{
	static unsigned long (*lookup_name)(const char *name);

	if (!lookup_name) {
		struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };

		if (register_kprobe(&probe))
			return 0;
		lookup_name = (void *)probe.addr;
		unregister_kprobe(&probe);
	}
	return lookup_name(name);
}

static void find_zone_locked(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "mm_page_alloc_zone_locked"))
		zone_locked = tp;
}

int find_symbols(void)
{
	isolate_free_page = (void *)lookup("__isolate_free_page");
	putback_isolated_page = (void *)lookup("__putback_isolated_page");
	get_pageblock_flags = (void *)lookup("get_pfnblock_flags_mask");
	page_reporting_key = (void *)lookup("page_reporting_enabled");
	for_each_kernel_tracepoint(find_zone_locked, NULL);
	if (isolate_free_page && putback_isolated_page && get_pageblock_flags &&
	    page_reporting_key && zone_locked)
		return 0;
	pr_err("this kernel lacks one of __isolate_free_page, __putback_isolated_page, get_pfnblock_flags_mask, page_reporting_enabled and the tracepoint mm_page_alloc_zone_locked\n");
	return -ENODEV;
}

int pageblock_type(struct page *page)
{
	return get_pageblock_flags(page, page_to_pfn(page), (1 << PB_migratetype_bits) - 1);
}

/* Whether the lists of one order are sound and hold as many blocks as the kernel counts. */
static bool lists_add_up(struct zone *zone, int order)
{
	struct free_area *area = &zone->free_area[order];
	unsigned long n = 0;
	int mt;

	for (mt = 0; mt < MIGRATE_TYPES; mt++) {
		struct list_head *head = &area->free_list[mt], *p;

		for (p = head->next; p != head; p = p->next)
			if (p->next->prev != p || !PageBuddy(page_at(p)) || n++ > area->nr_free)
				return false;
	}
	return n == area->nr_free;
}

static bool zone_adds_up(struct zone *zone)
{
	unsigned long flags;
	bool sound = true;
	int order;

	spin_lock_irqsave(&zone->lock, flags);
	for (order = 0; order < NR_ORDERS; order++)
		sound = sound && lists_add_up(zone, order);
	spin_unlock_irqrestore(&zone->lock, flags);
	return sound;
}

int find_zones(void)
{
	struct zone *zone = NODE_DATA(0)->node_zones;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++, zone++) {
		if (!populated_zone(zone))
			continue;
		if (nr_zones == MAX_ZONES || zone_end_pfn(zone) > MAX_FRAMES) {
			pr_err("knows %d zones and %u page frames at most, zone %s ends at %lu\n",
			       MAX_ZONES, MAX_FRAMES, zone->name, zone_end_pfn(zone));
			return -ENODEV;
		}
		if (!zone_adds_up(zone)) {
			pr_err("the free lists of zone %s do not add up to their nr_free\n",
			       zone->name);
			return -ENODEV;
		}
		zones[nr_zones++] = zone;
		nr_frames = zone_end_pfn(zone);
	}
	if (num_online_nodes() > 1) {
		pr_err("walks one NUMA node, but %d are online\n", num_online_nodes());
		return -ENODEV;
	}
	return 0;
}

/* From now on the kernel clears PG_reported of each block that leaves the free lists. */
void keep_marks_right(void)
{
	static_key_enable(page_reporting_key);
}

int probe_zone_locked(void)
{
	/* After the trace's own probe: the row of the allocation must stand before ours. */
	return tracepoint_probe_register_prio(zone_locked, on_zone_locked, NULL,
					      TRACEPOINT_DEFAULT_PRIO - 10);
}
