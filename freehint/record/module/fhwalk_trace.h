/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The rows that the walker writes into the trace.  All have one layout, so that a recording is one
 * table; README.md says where the meaning of each field is written down.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fhwalk

#if !defined(FHWALK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FHWALK_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(w_row,
	TP_PROTO(long pfn, int order, int mt, int a, int b, int c),
	TP_ARGS(pfn, order, mt, a, b, c),
	TP_STRUCT__entry(
		__field(int, pfn)
		__field(short, order)
		__field(short, mt)
		__field(int, a)
		__field(int, b)
		__field(int, c)
	),
	TP_fast_assign(
		__entry->pfn = pfn;
		__entry->order = order;
		__entry->mt = mt;
		__entry->a = a;
		__entry->b = b;
		__entry->c = c;
	),
	TP_printk("pfn=%d order=%d mt=%d a=%d b=%d c=%d", __entry->pfn, __entry->order,
		  __entry->mt, __entry->a, __entry->b, __entry->c)
);

#define W_ROW(name)							\
DEFINE_EVENT(w_row, name,						\
	TP_PROTO(long pfn, int order, int mt, int a, int b, int c),	\
	TP_ARGS(pfn, order, mt, a, b, c))

W_ROW(w_walk_begin);
W_ROW(w_walk_end);
W_ROW(w_stroke_begin);
W_ROW(w_stroke_end);
W_ROW(w_hold_begin);
W_ROW(w_hold_end);
W_ROW(w_list_begin);
W_ROW(w_list_end);
W_ROW(w_report);
W_ROW(w_rotate);
W_ROW(w_first);
W_ROW(w_lap);
W_ROW(w_cursor);
W_ROW(w_used);
W_ROW(w_isolate);
W_ROW(w_putback);
W_ROW(w_interrupt);
W_ROW(w_withdraw);
W_ROW(w_consume);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE fhwalk_trace
#include <trace/define_trace.h>
