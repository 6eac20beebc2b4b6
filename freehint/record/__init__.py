"""Record real kernels: guests under QEMU between exact snapshots, and snapshots of dumps."""

# Each is a shell function wl_NAME in guest/lib.sh; the text says what its numbers mean.
WORKLOADS = {
    "idle": "idle [SECONDS]: nothing",
    "fork": "fork [ROUNDS]: fork and exec, pipes, sort and gzip",
    "frag": "frag [PERCENT [PAGES]]: fill 60 % of memory, give back PERCENT of it in random pieces",
    "cache": "cache [ROUNDS [MIB]]: files written, read, removed and dropped",
    "press": "press [SECONDS]: memory is nearly full, and files are written beside it",
    "churn": "churn [SECONDS [MIB_PER_SECOND]]: mappings of 256 KiB to 16 MiB come and go",
    "fill": "fill [PERCENT]: fill memory once and free all of it, so that free blocks are big",
}
