"""The same allocator once more, in plain Python: an independent reading of the kernel's rules.

The kernels beside it must be fast; this twin must only be right, and short enough to be read
with ``mm/page_alloc.c`` open next to it.  Lists are Python lists of pfns, whatever can be
counted is counted when it is asked for, and every function names the kernel function that it
retells.  It asks for the release, not for the profile's fields.  Tests drive both through the
same operations and compare every list, order included.

    lists.py     what there is, and the list operations
    buddy.py     split and merge
    fallback.py  blocks of another type
    pcp.py       per-CPU lists
    highatomic.py  reserves
    isolate.py   free blocks and pageblocks set apart
    compaction.py  rotated free lists
    zone.py      watermarks and the zonelist: alloc_pages, free_pages
    check.py     verify: recount everything
    convert.py   a twin of a Memory, and whether the two still agree
"""
