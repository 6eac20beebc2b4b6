/*
 * The yardstick: a buddy allocator in plain C, with the algorithm of freehint/mm/buddy.py.
 *
 * Three times, because three questions are asked of it:
 *   page_*     64-byte pages and pointer list_heads, the way a kernel lays them out
 *   compact_*  int32 links side by side and 16 bits a frame, the layout of freehint
 *   compact_replay_ahead  the same, and coming operations' nodes are asked for, as freehint does
 *
 * One zone whose first page has number 0 and whose size is a multiple of 1024 pages.
 * The caller allocates all memory, so both sides get it from the same place.
 */
#include <stdint.h>
#include <stddef.h>

#define MAX_ORDER 11
#define PAGEBLOCK_ORDER 9
#define MIGRATE_TYPES 5
#define MIGRATE_PCPTYPES 3
#define ISOLATE 4
#define NR_LISTS (MAX_ORDER * MIGRATE_TYPES)

static inline int like_types(int a, int b)
{
	return a == b || (a < MIGRATE_PCPTYPES && b < MIGRATE_PCPTYPES);
}

/*
 * Operations as benchmarks/stream.py recorded them: bit 0 free, then 4 bits order, 3 bits
 * migratetype (of an allocation), then the node.  Returns how many allocations got another node.
 */
#define AHEAD 24
#define NO_PREFETCH(z, node) (void)(node)

#define REPLAY(prefix, name, PREFETCH)							\
int64_t prefix##_##name(struct prefix##_zone *z, const int64_t *operations, int64_t n)	\
{											\
	int64_t wrong = 0, node = 0;							\
	for (int64_t i = 0; i < n; i++) {						\
		int64_t coming = operations[i + AHEAD < n ? i + AHEAD : n - 1];		\
		PREFETCH(z, coming & 1 ? coming >> 8 : node);				\
		node = operations[i] >> 8;						\
		int order = operations[i] >> 1 & 15;					\
		int type = operations[i] >> 5 & 7;					\
		if (operations[i] & 1)							\
			prefix##_free_one(z, node, order, prefix##_block_type(z, node), 0);	\
		else									\
			wrong += prefix##_rmqueue(z, order, type) != node;		\
	}										\
	return wrong;									\
}

#define VERBS(prefix)									\
/* Free blocks of one order, each to the tail of its pageblock's list. */		\
void prefix##_free(struct prefix##_zone *z, int order, const int64_t *nodes, int64_t n)	\
{											\
	for (int64_t i = 0; i < n; i++)							\
		prefix##_free_one(z, nodes[i], order, prefix##_block_type(z, nodes[i]), 1);	\
}											\
											\
void prefix##_counts(struct prefix##_zone *z, int64_t *nr_free, int64_t *nr_free_pages)	\
{											\
	for (int i = 0; i < NR_LISTS; i++)						\
		nr_free[i] = (&z->nr_free[0][0])[i];					\
	*nr_free_pages = z->nr_free_pages;						\
}											\
											\
/* Make the nodes the content of an empty list. */					\
void prefix##_set_list(struct prefix##_zone *z, int order, int type, const int64_t *nodes,	\
		       int64_t n)							\
{											\
	for (int64_t i = 0; i < n; i++)							\
		prefix##_add(z, nodes[i], order, type, 1);				\
}

/* ---- 64-byte pages, pointer list_heads ---- */

struct list_head {
	struct list_head *next, *prev;
};

#define PAGE_BUDDY 0x80

struct page {
	uint64_t flags;
	struct list_head lru;
	void *mapping;
	uint64_t index;			/* of a free page: migratetype of its list */
	uint64_t private;		/* of a free page: order */
	int32_t page_type, refcount;
	uint64_t memcg_data;
};
_Static_assert(sizeof(struct page) == 64, "a page structure has 64 bytes");

struct page_zone {
	struct page *pages;
	const uint8_t *pageblock;
	int64_t nr_pages, nr_free_pages;
	int64_t nr_free[MAX_ORDER][MIGRATE_TYPES];
	struct list_head free_list[MAX_ORDER][MIGRATE_TYPES];
};

size_t page_zone_bytes(void) { return sizeof(struct page_zone); }

static inline void list_insert(struct list_head *new, struct list_head *before,
			       struct list_head *after)
{
	after->prev = new;
	new->next = after;
	new->prev = before;
	before->next = new;
}

static inline struct page *lru_page(struct list_head *entry)
{
	return (struct page *)((char *)entry - offsetof(struct page, lru));
}

static inline int page_block_type(struct page_zone *z, int64_t node)
{
	return z->pageblock[node >> PAGEBLOCK_ORDER] & 7;
}

void page_init(struct page_zone *z, struct page *pages, int64_t nr_pages, const uint8_t *pageblock)
{
	*z = (struct page_zone){ .pages = pages, .pageblock = pageblock, .nr_pages = nr_pages };
	for (int order = 0; order < MAX_ORDER; order++)
		for (int type = 0; type < MIGRATE_TYPES; type++) {
			struct list_head *head = &z->free_list[order][type];
			head->next = head->prev = head;
		}
}

static inline int page_is_buddy(struct page_zone *z, int64_t node, int order)
{
	struct page *page = &z->pages[node];
	return page->page_type == PAGE_BUDDY && page->private == (uint64_t)order;
}

static inline void page_add(struct page_zone *z, int64_t node, int order, int type, int to_tail)
{
	struct page *page = &z->pages[node];
	struct list_head *head = &z->free_list[order][type];

	if (to_tail)
		list_insert(&page->lru, head->prev, head);
	else
		list_insert(&page->lru, head, head->next);
	page->page_type = PAGE_BUDDY;
	page->private = order;
	page->index = type;
	z->nr_free[order][type]++;
}

static inline void page_del(struct page_zone *z, int64_t node, int order, int type)
{
	struct page *page = &z->pages[node];

	z->nr_free[order][type]--;
	page->lru.next->prev = page->lru.prev;
	page->lru.prev->next = page->lru.next;
	page->page_type = 0;
	page->private = 0;
}

static inline int64_t page_rmqueue(struct page_zone *z, int order, int type)
{
	for (int high = order; high < MAX_ORDER; high++) {
		struct list_head *head = &z->free_list[high][type];
		if (head->next == head)
			continue;
		int64_t node = lru_page(head->next) - z->pages;
		page_del(z, node, high, type);
		if (type != ISOLATE)
			z->nr_free_pages -= 1 << order;
		while (high > order) {
			high--;
			page_add(z, node + (1 << high), high, type, 0);
		}
		return node;
	}
	return -1;
}

static inline int page_merge_likely(struct page_zone *z, int64_t node, int order)
{
	if (order >= MAX_ORDER - 2)
		return 0;
	int64_t higher = node & ~(1ll << order);
	return page_is_buddy(z, higher ^ (1 << (order + 1)), order + 1);
}

static inline void page_free_one(struct page_zone *z, int64_t node, int order, int type, int to_tail)
{
	if (type != ISOLATE)
		z->nr_free_pages += 1 << order;
	while (order < MAX_ORDER - 1) {
		int64_t buddy = node ^ (1 << order);
		if (!page_is_buddy(z, buddy, order))
			break;
		if (order >= PAGEBLOCK_ORDER && !like_types(type, page_block_type(z, buddy)))
			break;
		page_del(z, buddy, order, (int)z->pages[buddy].index);
		node &= buddy;
		order++;
	}
	page_add(z, node, order, type, to_tail || page_merge_likely(z, node, order));
}

REPLAY(page, replay, NO_PREFETCH)
VERBS(page)

void page_list(struct page_zone *z, int order, int type, int64_t *nodes)
{
	struct list_head *head = &z->free_list[order][type];
	for (struct list_head *at = head->next; at != head; at = at->next)
		*nodes++ = lru_page(at) - z->pages;
}

/* Sum of the next n nodes of a list, round and round; *at is a node, or -1 for the head. */
int64_t page_walk(struct page_zone *z, int order, int type, int64_t *at, int64_t n)
{
	struct list_head *head = &z->free_list[order][type];
	struct list_head *entry = *at < 0 ? head : &z->pages[*at].lru;
	int64_t sum = 0;
	while (n > 0) {
		entry = entry->next;
		if (entry == head)
			continue;
		sum += lru_page(entry) - z->pages;
		n--;
	}
	*at = lru_page(entry) - z->pages;
	return sum;
}

/* Rows (node, order, blocks looked at) of a whole list. */
int64_t page_fill(struct page_zone *z, int order, int type, int64_t (*rows)[3])
{
	struct list_head *head = &z->free_list[order][type];
	int64_t n = 0;
	for (struct list_head *at = head->next; at != head; at = at->next) {
		struct page *page = lru_page(at);
		rows[n][0] = page - z->pages;
		rows[n][1] = page->private;
		rows[n][2] = 1;
		n++;
	}
	return n;
}

/* ---- int32 links side by side, 16 bits a frame ---- */

#define FRAME_BUDDY 0x10
#define FRAME_TYPE_SHIFT 8

struct compact_zone {
	int32_t (*links)[2];		/* next, prev; list heads behind the frames */
	uint16_t *frame;
	const uint8_t *pageblock;
	int64_t nr_pages, nr_free_pages;
	int64_t nr_free[MAX_ORDER][MIGRATE_TYPES];
};

size_t compact_zone_bytes(void) { return sizeof(struct compact_zone); }

static inline int32_t compact_head(struct compact_zone *z, int order, int type)
{
	return (int32_t)(z->nr_pages + order * MIGRATE_TYPES + type);
}

static inline int compact_block_type(struct compact_zone *z, int64_t node)
{
	return z->pageblock[node >> PAGEBLOCK_ORDER] & 7;
}

void compact_init(struct compact_zone *z, int32_t (*links)[2], uint16_t *frame, int64_t nr_pages,
		  const uint8_t *pageblock)
{
	*z = (struct compact_zone){
		.links = links, .frame = frame, .pageblock = pageblock, .nr_pages = nr_pages
	};
	for (int64_t head = nr_pages; head < nr_pages + NR_LISTS; head++)
		links[head][0] = links[head][1] = (int32_t)head;
}

/* Go on in arrays that hold a copy of this zone's. */
void compact_move(struct compact_zone *z, int32_t (*links)[2], uint16_t *frame)
{
	z->links = links;
	z->frame = frame;
}

static inline int compact_is_buddy(struct compact_zone *z, int64_t node, int order)
{
	return (z->frame[node] & (FRAME_BUDDY | 15)) == (FRAME_BUDDY | order);
}

static inline void compact_add(struct compact_zone *z, int64_t node, int order, int type, int to_tail)
{
	int32_t head = compact_head(z, order, type);
	int32_t before = to_tail ? z->links[head][1] : head;
	int32_t after = to_tail ? head : z->links[head][0];

	z->links[after][1] = (int32_t)node;
	z->links[node][0] = after;
	z->links[node][1] = before;
	z->links[before][0] = (int32_t)node;
	z->frame[node] = (uint16_t)(FRAME_BUDDY | order | type << FRAME_TYPE_SHIFT);
	z->nr_free[order][type]++;
}

static inline void compact_del(struct compact_zone *z, int64_t node, int order, int type)
{
	int32_t after = z->links[node][0], before = z->links[node][1];

	z->nr_free[order][type]--;
	z->links[after][1] = before;
	z->links[before][0] = after;
	z->frame[node] = 0;
}

static inline int64_t compact_rmqueue(struct compact_zone *z, int order, int type)
{
	for (int high = order; high < MAX_ORDER; high++) {
		int32_t head = compact_head(z, high, type);
		int64_t node = z->links[head][0];
		if (node == head)
			continue;
		compact_del(z, node, high, type);
		if (type != ISOLATE)
			z->nr_free_pages -= 1 << order;
		while (high > order) {
			high--;
			compact_add(z, node + (1 << high), high, type, 0);
		}
		return node;
	}
	return -1;
}

static inline int compact_merge_likely(struct compact_zone *z, int64_t node, int order)
{
	if (order >= MAX_ORDER - 2)
		return 0;
	int64_t higher = node & ~(1ll << order);
	return compact_is_buddy(z, higher ^ (1 << (order + 1)), order + 1);
}

static inline void compact_free_one(struct compact_zone *z, int64_t node, int order, int type,
				    int to_tail)
{
	if (type != ISOLATE)
		z->nr_free_pages += 1 << order;
	while (order < MAX_ORDER - 1) {
		int64_t buddy = node ^ (1 << order);
		if (!compact_is_buddy(z, buddy, order))
			break;
		if (order >= PAGEBLOCK_ORDER && !like_types(type, compact_block_type(z, buddy)))
			break;
		compact_del(z, buddy, order, z->frame[buddy] >> FRAME_TYPE_SHIFT & 7);
		node &= buddy;
		order++;
	}
	compact_add(z, node, order, type, to_tail || compact_merge_likely(z, node, order));
}

static inline void compact_prefetch(struct compact_zone *z, int64_t node)
{
	__builtin_prefetch(&z->frame[node], 1);
	__builtin_prefetch(&z->links[node], 1);
}

REPLAY(compact, replay, NO_PREFETCH)
REPLAY(compact, replay_ahead, compact_prefetch)
VERBS(compact)

void compact_list(struct compact_zone *z, int order, int type, int64_t *nodes)
{
	int32_t head = compact_head(z, order, type);
	for (int32_t at = z->links[head][0]; at != head; at = z->links[at][0])
		*nodes++ = at;
}

int64_t compact_walk(struct compact_zone *z, int order, int type, int64_t *at, int64_t n)
{
	int32_t head = compact_head(z, order, type);
	int32_t node = *at < 0 ? head : (int32_t)*at;
	int64_t sum = 0;
	while (n > 0) {
		node = z->links[node][0];
		if (node == head)
			continue;
		sum += node;
		n--;
	}
	*at = node;
	return sum;
}

int64_t compact_fill(struct compact_zone *z, int order, int type, int64_t (*rows)[3])
{
	int32_t head = compact_head(z, order, type);
	int64_t n = 0;
	for (int32_t at = z->links[head][0]; at != head; at = z->links[at][0]) {
		rows[n][0] = at;
		rows[n][1] = z->frame[at] & 15;
		rows[n][2] = 1;
		n++;
	}
	return n;
}
