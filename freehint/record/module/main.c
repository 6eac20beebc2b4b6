// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * fhwalk: the walkers of free page hinting that linux-mm discussed in January 2018 ("mm: support
 * reporting free page blocks", v24 and the answers to it), run and traced in a real kernel.
 *
 * Here are its knobs and its beginning.  It has no end: blocks on the free lists keep their marks
 * after a walk, so the key that makes the kernel clear them must stay on.  The guest is to be
 * thrown away.
 */
#include <linux/kthread.h>
#include <linux/module.h>

#include "fhwalk.h"
#define CREATE_TRACE_POINTS
#include "fhwalk_trace.h"

struct knobs knob;		/* as they were at ``go`` */
static struct knobs asked = {
	.high_first = 1, .capacity = 64, .span = 1, .strokes = 10, .walks = 1, .delay_ms = 200,
	.mark = 1, .ring = 1024, .host_ms = 8, .host_batch = 64, .keep = 1, .trigger = 1,
	.consume_order = 10, .consume_free = 1,
};

#define KNOB(name, text)					\
	module_param_named(name, asked.name, int, 0644);	\
	MODULE_PARM_DESC(name, text)

KNOB(five_step, "1: the five steps instead of the walker");
KNOB(rotate, "0 never, 1 each_report, 2 on_exit");
KNOB(resume, "0 restart, 1 scan_for_first, 2 cursor, 3 host_feedback, 4 scan_for_mark");
KNOB(lock, "0 one list, 1 whole stroke: all zones, with the host polled under the locks");
KNOB(high_first, "1: the highest order first, 0: the lowest");
KNOB(min_order, "smallest order walked");
KNOB(capacity, "blocks in a stroke, 0: no limit");
KNOB(span, "1: a stroke goes on to the next list, 0: not once a list gave a block");
KNOB(strokes, "most strokes in a walk");
KNOB(walks, "number of walks");
KNOB(delay_ms, "pause after a stroke");
KNOB(mark, "1: mark reported blocks with PG_reported");
KNOB(ring, "slots of the ring");
KNOB(full, "a full ring 0: loses the report, 1: ends the stroke");
KNOB(host_ms, "the host takes reports every so often");
KNOB(host_batch, "and at most so many");
KNOB(keep, "five_step: 1: leave the last block of each list");
KNOB(trigger, "five_step: 1: step 5 is on");
KNOB(consume_at, "after so many strokes the walker's thread allocates; 0: never");
KNOB(consume_n, "at most so many blocks");
KNOB(consume_order, "of this order, MOVABLE");
KNOB(consume_until_first, "1: until A, the first block reported of that list, is allocated");
KNOB(consume_free, "1: free them when the walk has ended");

module_param(busy, int, 0444);
MODULE_PARM_DESC(busy, "1 while walks run and the ring is not empty");
module_param(done, int, 0444);
MODULE_PARM_DESC(done, "how often walks were run");

static bool values_are_known(void)
{
	return asked.ring >= 1 && asked.ring <= MAX_RING && asked.host_batch >= 1 &&
	       asked.min_order >= 0 && asked.min_order < NR_ORDERS &&
	       asked.consume_order >= 0 && asked.consume_order < NR_ORDERS;
}

/* What would mean nothing: ways to resume that need rotation or marks, without them. */
static bool contradicts(void)
{
	bool scans = asked.resume == SCAN_FOR_FIRST || asked.resume == SCAN_FOR_MARK;

	if (asked.five_step)
		return !asked.mark;
	/* Without rotation A stands at the head, and would end its list at once. */
	return (scans && asked.rotate == NEVER) || (asked.resume != RESTART && !asked.mark);
}

static int set_go(const char *value, const struct kernel_param *param)
{
	if (walks_run())
		return -EBUSY;
	if (!values_are_known() || contradicts())
		return -EINVAL;
	/* A walk keeps its knobs: those of the marker in the trace. */
	knob = asked;
	start_walks();
	return 0;
}

static const struct kernel_param_ops go_ops = { .set = set_go };
module_param_cb(go, &go_ops, NULL, 0200);
MODULE_PARM_DESC(go, "write anything to run the walks; nothing runs before");

static void free_all(void)
{
	free_five_step();
	free_walk();
	free_ring();
	free_stays();
}

static int alloc_all(void)
{
	return alloc_stays() ?: alloc_ring() ?: alloc_walk() ?: alloc_five_step();
}

/* Neither thread runs before it is woken, so until then it can be stopped. */
static int start_threads(void)
{
	struct task_struct *walker = kthread_create(walker_main, NULL, "fhwalk"), *host;
	int error;

	if (IS_ERR(walker))
		return PTR_ERR(walker);
	host = kthread_create(host_main, NULL, "fhhost");
	if (IS_ERR(host)) {
		kthread_stop(walker);
		return PTR_ERR(host);
	}
	error = probe_zone_locked();
	if (error) {
		kthread_stop(host);
		kthread_stop(walker);
		return error;
	}
	keep_marks_right();
	wake_up_process(walker);
	wake_up_process(host);
	return 0;
}

static int __init fhwalk_init(void)
{
	int error = check_kernel() ?: find_symbols() ?: find_zones();

	if (error)
		return error;
	knob = asked;	/* the host looks at the ring before the first ``go`` */
	error = alloc_all() ?: start_threads();
	if (error)
		free_all();
	else
		pr_info("ready: %d zones, %u page frames\n", nr_zones, nr_frames);
	return error;
}
module_init(fhwalk_init);

MODULE_DESCRIPTION("Walkers of the 2018 thread on free page hinting");
MODULE_LICENSE("Dual BSD/GPL");
