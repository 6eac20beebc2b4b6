// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The walker's thread: it sleeps until somebody writes to the parameter ``go``. */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/wait.h>

#include "fhwalk.h"
#include "fhwalk_trace.h"

#define MAX_CONSUMED 1024

static struct page *consumed[MAX_CONSUMED];
static DECLARE_WAIT_QUEUE_HEAD(wait);
static bool go;
int busy, done;

/* Whether a block is A of a MOVABLE list in any zone. */
static bool is_first_of_any_zone(u32 pfn)
{
	struct place at = { .order = knob.consume_order, .mt = MIGRATE_MOVABLE };

	for (at.zi = 0; at.zi < nr_zones; at.zi++)
		if (is_first(&at, pfn))
			return true;
	return false;
}

/* Allocate blocks from this thread, so that the walk itself is hit at a known point. */
static void consume(void)
{
	/* Without __GFP_COMP: the blocks go back as they came, one by one. */
	gfp_t gfp = (GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | __GFP_NORETRY) & ~__GFP_COMP;
	int i, n = min(knob.consume_n, MAX_CONSUMED);

	for (i = 0; i < n; i++) {
		struct page *page = alloc_pages(gfp, knob.consume_order);
		long pfn = page ? page_to_pfn(page) : -1;

		consumed[i] = page;
		trace_w_consume(pfn, knob.consume_order, MIGRATE_MOVABLE, i, 0, 0);
		if (page && knob.consume_until_first && is_first_of_any_zone(pfn))
			return;
	}
}

static void free_consumed(void)
{
	int i;

	for (i = 0; i < MAX_CONSUMED; i++)
		if (consumed[i]) {
			__free_pages(consumed[i], knob.consume_order);
			consumed[i] = NULL;
		}
}

static enum stroke_end stroke(int number)
{
	enum stroke_end end;
	int offered;

	trace_w_stroke_begin(-1, -1, -1, number, knob.capacity, 0);
	end = knob.five_step ? five_step_stroke(&offered) : walk_stroke(&offered);
	trace_w_stroke_end(-1, -1, -1, number, offered, end);
	return end;
}

static void walk(int number)
{
	/* A walker that restarts never knows that it has seen everything. */
	bool ends = knob.five_step || knob.resume != RESTART;
	enum stroke_end end = STROKE_CAPACITY;
	int i;

	begin_walk();
	trace_w_walk_begin(-1, -1, -1, number, knob.five_step ? 9 : knob.rotate, knob.resume);
	for (i = 0; i < knob.strokes; i++) {
		end = stroke(i);
		if (knob.consume_at == i + 1)
			consume();
		if (end == STROKE_END && ends)
			break;
		if (knob.delay_ms)
			msleep(knob.delay_ms);
	}
	trace_w_walk_end(-1, -1, -1, number, nr_taken, end);
	if (knob.consume_at && knob.consume_free)
		free_consumed();
}

void start_walks(void)
{
	busy = 1;
	WRITE_ONCE(go, true);
	wake_up(&wait);
}

bool walks_run(void)
{
	return READ_ONCE(busy);
}

int walker_main(void *unused)
{
	int i;

	while (!kthread_should_stop()) {
		wait_event_interruptible(wait, READ_ONCE(go) || kthread_should_stop());
		if (!READ_ONCE(go))
			continue;
		for (i = 0; i < knob.walks; i++)
			walk(i);
		while (!ring_empty())
			msleep(10);
		WRITE_ONCE(go, false);
		done++;
		WRITE_ONCE(busy, 0);
	}
	return 0;
}
