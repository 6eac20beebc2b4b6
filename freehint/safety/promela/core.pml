/*
 * The protocol core of free page hints: hint, reuse, write, sync, clear, send, switch over.
 *
 * It is written by hand from what QEMU and the virtio specification do, and shares no code with
 * freehint's engine, so it is a second opinion on the engine's explorer.  docs/safety_oracle.md
 * describes the model.  freehint/safety/oracle.py sets these macros:
 *
 *   GENERATION     1, 2 or 3: when the dirty log is cleared
 *   INITIALLY_SET  1 if the log begins with every page dirty
 *   CHUNK          number of pages that the dirty log clears at a time: 1, 2, 4 or 8
 *   ACKNOWLEDGED   1 if the guest takes a block back only after the host used its hint
 *   DISCARDING     1 if the host discards the memory behind a hint
 *   PROPERTY       LOST or DESTROYED, see `kept`
 *   BLOCK, BLOCKS  pages of a block; number of blocks (at most 4, and 8 pages in all)
 *   ROUNDS, RING   rounds of hinting; descriptors of the ring
 *   KNOWN_BUG      0; or a bug that is put back, NO_MUTEX or REPEATED_ID, see below
 *
 * Each step of an actor is one d_step and prints its words, so a trail reads as a story.
 */

#define LOST 1
#define DESTROYED 2

/* Hint and sender take no bitmap_mutex, and each tests before it changes, in two steps. */
#define NO_MUTEX 1
/* START counts by the last id alone, also after STOP.  QEMU 67808fda37 (5.1) fixed it. */
#define REPEATED_ID 2

#define ALL ((1 << (BLOCK * BLOCKS)) - 1)
#define BIT(n) (1 << (n))
#define PAGES_OF(block) (((1 << BLOCK) - 1) << ((block) * BLOCK))
#define CHUNK_OF(page) (((1 << CHUNK) - 1) << ((page) / CHUNK * CHUNK))

mtype = { START, HINT, END };              /* what the guest puts on the ring */
mtype = { STOPPED, REQUESTED, STARTED };   /* states of the balloon device */

/* Sets of pages, one bit for each page. */
byte bitmap = ALL;                         /* B: pages that are still to be sent */
byte log = INITIALLY_SET * ALL;            /* K: pages written since their bit was cleared */
byte seen;                                 /* S: K at the last sync, but for chunks cleared since */
byte kept;                                 /* LOST: pages written since they were allocated that
                                              the destination has not got since; DESTROYED: pages
                                              written since they were allocated */

byte used = BIT(BLOCKS) - 1;               /* set of blocks: those that are allocated */
bool paused;                               /* the guest is stopped for the switch-over */
byte command;                              /* what the device shows the guest: 0 STOP, or an id */
mtype device = STOPPED;
byte handled;                              /* 1 + block whose hint the device acts on, or 0; while
                                              it acts it holds free_page_lock */
bool clearing;                             /* the device holds bitmap_mutex */
bool sending;                              /* the sender holds bitmap_mutex */
chan ring = [RING] of { mtype, byte };

#if KNOWN_BUG == NO_MUTEX
#define MAY_LOCK(held) true
#else
#define MAY_LOCK(held) !(held)
#endif
#if KNOWN_BUG == REPEATED_ID
byte last;                                 /* the last id that was given out */
#define STARTS(id) (id == last)
#define GIVE_OUT(id) command = id; last = id; device = REQUESTED
#else
#define STARTS(id) (device == REQUESTED && id == command)
#define GIVE_OUT(id) command = id; device = REQUESTED
#endif

#if ACKNOWLEDGED
#define TAKEN_BACK(block) (handled != 1 + (block) && !(ring??[HINT, eval(block)]))
#else
#define TAKEN_BACK(block) true
#endif
#define IS_USED(block) (used & BIT(block))
#define IS_FREE(block) (!IS_USED(block) && TAKEN_BACK(block))

/* Clear K in the chunk around a page, but only where the last sync saw it, and once a sync. */
inline clear_chunk(page) {
    log = log & ~(seen & CHUNK_OF(page));
    seen = seen & ~CHUNK_OF(page)
}

/* Add K to B. */
inline sync_bitmap() {
    bitmap = bitmap | log;
#if GENERATION == 1
    log = 0
#else
    seen = log
#endif
}

#define ALLOCATE(block) d_step { !paused && IS_FREE(block) -> \
    used = used | BIT(block); printf("allocate block %d\n", block) }
#define FREE(block) d_step { !paused && IS_USED(block) -> \
    used = used & ~BIT(block); kept = kept & ~PAGES_OF(block); printf("free block %d\n", block) }
#define WRITE(page) d_step { !paused && IS_USED((page) / BLOCK) -> \
    log = log | BIT(page); kept = kept | BIT(page); printf("write page %d\n", page) }
#define TELL(block) d_step { hinting && !paused && nfull(ring) && IS_FREE(block) -> \
    ring!HINT(block); printf("hint block %d\n", block) }

/* A vCPU of the guest.  A block that was hinted is taken back by allocating it. */
active proctype vcpu() {
end:
    do
    :: ALLOCATE(0)
    :: FREE(0)
#if BLOCKS > 1
    :: ALLOCATE(1)
    :: FREE(1)
#endif
#if BLOCKS > 2
    :: ALLOCATE(2)
    :: FREE(2)
#endif
#if BLOCKS > 3
    :: ALLOCATE(3)
    :: FREE(3)
#endif
    :: WRITE(0)
    :: WRITE(1)
#if BLOCK * BLOCKS > 2
    :: WRITE(2)
    :: WRITE(3)
#endif
#if BLOCK * BLOCKS > 4
    :: WRITE(4)
    :: WRITE(5)
#endif
#if BLOCK * BLOCKS > 6
    :: WRITE(6)
    :: WRITE(7)
#endif
    od
}

/* The guest's balloon driver.  It may read the command late, and hint meanwhile. */
active proctype driver() {
    byte read;                             /* the last command it has read */
    bool hinting;
end:
    do
    :: d_step { !paused && command == 0 && read != 0 ->
        read = 0; hinting = false; printf("read STOP\n") }
    :: d_step { !paused && command != 0 && read != command && nfull(ring) ->
        read = command; hinting = true; ring!START(read); printf("start round %d\n", read) }
    :: TELL(0)
#if BLOCKS > 1
    :: TELL(1)
#endif
#if BLOCKS > 2
    :: TELL(2)
#endif
#if BLOCKS > 3
    :: TELL(3)
#endif
    :: d_step { hinting && !paused && nfull(ring) ->
        hinting = false; ring!END(0); printf("end of hints\n") }
    od
}

/* A hint's bits may leave B: its chunks are cleared, where that comes before. */
#if GENERATION == 3
#define CHUNKS_CLEARED (clearing && page >= handled * BLOCK)
#else
#define CHUNKS_CLEARED (handled != 0 && MAY_LOCK(sending))
#endif

/* The host's thread.  A buffer is ignored unless the device is STARTED when it is popped. */
active proctype balloon() {
    mtype kind;
    byte value, page;                      /* page: the next whose chunk a hint clears */
#if KNOWN_BUG == NO_MUTEX
    short word;                            /* 1 + B as it was read, or 0 */
#endif
end:
    do
    :: d_step { !paused && handled == 0 && nempty(ring) ->
        ring?kind(value);
        if
        :: kind == HINT ->
            printf("pop block %d\n", value);
#if DISCARDING
#if PROPERTY == DESTROYED
            assert(!(kept & PAGES_OF(value)));
#endif
            kept = kept & ~PAGES_OF(value);
#endif
            if
            :: device == STARTED -> handled = 1 + value; page = value * BLOCK
            :: else
            fi
        :: kind == START && STARTS(value) ->
            device = STARTED; printf("pop START %d\n", value)
        :: else ->
            if
            :: device == STARTED -> device = STOPPED
            :: else
            fi;
            printf("pop a command\n")
        fi;
        kind = 0; value = 0 }
#if GENERATION == 3
    :: d_step { handled != 0 && MAY_LOCK(sending) && page < handled * BLOCK ->
        clearing = true;
        printf("clear the chunk of page %d for the hint\n", page);
        clear_chunk(page);
        page = (page / CHUNK + 1) * CHUNK }
#endif
#if KNOWN_BUG == NO_MUTEX
    :: d_step { word == 0 && CHUNKS_CLEARED ->
        word = 1 + bitmap; printf("read the bitmap for the hint\n") }
    :: d_step { word != 0 ->
#else
    :: d_step { CHUNKS_CLEARED ->
#endif
        printf("use the hint of block %d\n", handled - 1);
#if KNOWN_BUG == NO_MUTEX
        bitmap = (word - 1) & ~PAGES_OF(handled - 1);
        word = 0;
#else
        bitmap = bitmap & ~PAGES_OF(handled - 1);
#endif
        clearing = false; handled = 0; page = 0 }
    od
}

/* QEMU's migration thread.  It may sync, or switch over, between any two pages. */
active proctype migration() {
    byte round, page, next;
#if KNOWN_BUG == NO_MUTEX
    byte was;                              /* what the sync saw of the chunk, when last looked at */
#endif
    d_step { sync_bitmap(); printf("sync\n") };
    d_step { round = 1; GIVE_OUT(round); printf("request round 1\n") };
    do
    :: d_step { bitmap && MAY_LOCK(clearing) ->
        page = next;
        do
        :: bitmap & BIT(page) -> break
        :: else -> page = (page + 1) % (BLOCK * BLOCKS)
        od;
        sending = true;
        bitmap = bitmap & ~BIT(page);
        printf("take page %d\n", page) };
#if GENERATION != 1
#if KNOWN_BUG == NO_MUTEX
       d_step { was = seen & CHUNK_OF(page); printf("look at the chunk of page %d\n", page) };
       d_step { log = log & ~was; seen = seen & ~CHUNK_OF(page); was = 0;
        printf("clear the chunk of page %d\n", page) };
#else
       d_step { clear_chunk(page); printf("clear the chunk of page %d\n", page) };
#endif
#endif
       d_step {
#if PROPERTY == LOST
        kept = kept & ~BIT(page);
#endif
        printf("send page %d\n", page);
        next = (page + 1) % (BLOCK * BLOCKS);
        page = 0; sending = false }
    :: d_step { round < ROUNDS && handled == 0 ->
        command = 0; device = STOPPED; printf("STOP\n") };
       d_step { sync_bitmap(); printf("sync\n") };
       d_step { round++; GIVE_OUT(round); printf("request round %d\n", round) }
    :: d_step { paused = true; printf("pause the guest\n") };
       d_step { handled == 0 -> command = 0; device = STOPPED; printf("STOP\n") };
       d_step {
        sync_bitmap();
        printf("sync, send the rest and switch over\n");
#if PROPERTY == LOST
        assert(!(kept & ~bitmap))
#endif
       };
       break
    od
}
