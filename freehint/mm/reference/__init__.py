"""The same allocator once more, in plain Python: an independent reading of the kernel's rules.

The kernels beside it must be fast; this twin must only be right, and short enough to be read
with ``mm/page_alloc.c`` open next to it.  Lists are Python lists of pfns, numbers are counted
when they are needed instead of being kept, and every function names its kernel function.  The
twin looks at the release, not at the profile's fields.  Tests drive both through the same
operations and compare every list, order included.

    lists.py     the data, and the list operations
    buddy.py     split and merge
    fallback.py  blocks of another type
    pcp.py       per-CPU lists
    highatomic.py  reserves
    isolate.py   isolated free blocks and pageblocks
    compact/     compaction: what it remembers and turns, its scanners, a zone, who starts it
    zone.py      watermarks and the zonelist: alloc_pages, free_pages
    check.py     verify, which recounts everything
    convert.py   builds a twin of a Memory and compares the two
"""
