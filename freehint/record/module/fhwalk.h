/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the files of fhwalk share.
 *
 * A walk goes over all free lists.  A stroke is one call of the interface; between two strokes the
 * guest and its host go on.  A stay is the time that one block spends on the free lists.
 */
#ifndef FHWALK_H
#define FHWALK_H

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define NR_ORDERS MAX_ORDER
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define NR_ORDERS NR_PAGE_ORDERS
#else
#error "fhwalk was checked on Linux 6.1 and 6.12 only"
#endif

enum rotate { NEVER, EACH_REPORT, ON_EXIT };
enum resume { RESTART, SCAN_FOR_FIRST, CURSOR, HOST_FEEDBACK, SCAN_FOR_MARK };
enum hold { PER_LIST, WHOLE_STROKE };
enum on_full { LOSE, STOP };

/* Why a stroke ended, and why a walk over one list did: the field c of w_stroke_end, w_list_end. */
enum stroke_end { STROKE_CAPACITY, STROKE_END, STROKE_RING_FULL, STROKE_INTERRUPTED };
enum list_end {
	LIST_END, LIST_CAPACITY, LIST_RING_FULL, LIST_FIRST, LIST_LAP, LIST_WATERMARK, LIST_BOUND,
	LIST_GOES_ON,	/* not an end; never traced */
};

/* The module parameters; main.c says what each means. */
struct knobs {
	int five_step, rotate, resume, lock, high_first, min_order, capacity, span;
	int strokes, walks, delay_ms, mark, ring, full, host_ms, host_batch;
	int keep, trigger;
	int consume_at, consume_n, consume_order, consume_until_first, consume_free;
};
extern struct knobs knob;

#define MAX_ZONES 4
#define MAX_FRAMES (1u << 22)	/* 16 GiB; the arrays below take up to 41 bytes a frame */
#define MAX_RING 65536u		/* a power of two: positions in the ring wrap around with u32 */

/* One free list. */
struct place {
	int zi, order, mt;
};

/* A block that was reported, and the number of the stay in which it was. */
struct report {
	u32 pfn, stay;
	u8 zi, order, mt;
};

/* find.c: what the kernel does not export */
extern struct zone *zones[MAX_ZONES];
extern int nr_zones;
extern u32 nr_frames;
extern int (*isolate_free_page)(struct page *page, unsigned int order);
extern void (*putback_isolated_page)(struct page *page, unsigned int order, int mt);
int check_kernel(void);
int find_symbols(void);
int find_zones(void);
void keep_marks_right(void);
int pageblock_type(struct page *page);
int probe_zone_locked(void);

/* stay.c: each frame's stay that was reported last, what became of the report, and this walk's */
#define STAY_USED 1		/* the host has used it */
#define STAY_ISOLATED 2		/* five_step holds the block */
extern u32 *stay;
extern u8 *stay_state;
extern u32 next_stay;
int alloc_stays(void);
void free_stays(void);
u32 begin_stay(u32 pfn, u8 state);
bool stay_lasts(u32 pfn, u32 id, int order);
void forget_reports(void);
void note_report(const struct report *report);
struct list_head *find_cursor(struct list_head *head, const struct place *at);

/* ring.c: the ring of reports and the host at its other end */
int alloc_ring(void);
void free_ring(void);
bool ring_full(void);
bool ring_empty(void);
bool ring_offer(const struct report *report, bool again, bool trace_lost);
void ring_withdraw(int zi);
int host_take(int most, bool locked);
int host_main(void *unused);

/* walk.c and five_step.c: the two policies */
extern u32 nr_taken;
int alloc_walk(void);
void free_walk(void);
void begin_walk(void);
enum stroke_end walk_stroke(int *offered);
bool is_first(const struct place *at, u32 pfn);
int alloc_five_step(void);
void free_five_step(void);
enum stroke_end five_step_stroke(int *offered);
void note_isolated_used(void);
void on_zone_locked(void *unused, struct page *page, unsigned int order, int mt, int refill);

/* thread.c */
int walker_main(void *unused);
void start_walks(void);
bool walks_run(void);
extern int busy, done;

/* The lists in walking order: zones ascending, then orders, then types. */
static inline int nr_places(void)
{
	return nr_zones * (NR_ORDERS - knob.min_order) * MIGRATE_TYPES;
}

static inline struct place place_at(int i)
{
	int orders = NR_ORDERS - knob.min_order;
	int step = i / MIGRATE_TYPES % orders;

	return (struct place) {
		.zi = i / MIGRATE_TYPES / orders,
		.order = knob.high_first ? NR_ORDERS - 1 - step : knob.min_order + step,
		.mt = i % MIGRATE_TYPES,
	};
}

static inline struct list_head *list_at(const struct place *at)
{
	return &zones[at->zi]->free_area[at->order].free_list[at->mt];
}

static inline struct page *page_at(struct list_head *node)
{
	return list_entry(node, struct page, buddy_list);
}

#endif
