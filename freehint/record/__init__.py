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
# Further steps of a workload in steps; "..." allows more words of the kind before it.
STEPS = {
    "read": "read FILE ...: read files of the disk",
    "copy": "copy FILE NEW: copy a file of the disk",
    "write": "write NEW MIB: write a file of zeros",
    "rm": "rm FILE ...: remove files",
    "sync": "sync: write back",
    "drop_caches": "drop_caches CACHES: write 1, 2 or 3 to vm.drop_caches",
    "compact_memory": "compact_memory: write 1 to vm.compact_memory",
    "swapon": "swapon: use the swap drive",
    "sysctl": "sysctl SETTING VALUE: write a number to a file of /proc/sys/vm",
    "thp": "thp SWITCH MODE: e.g. 'thp enabled always', which below 512 MiB no boot option does",
    "load fill": "load fill MIB: fill memory with random words, and free it",
    "load hold": "load hold MIB: fill memory, and hold it",
    "load dirty": "load dirty MIB RATE SECONDS: fill memory, then change RATE MiB a second",
    "load churn": "load churn MIB RATE SECONDS: map, fill and unmap, with at most MIB mapped",
    "load frag": "load frag MIB PERCENT PAGES: fill, give back PERCENT in pieces of PAGES, hold",
    "release": "release: end the loads that hold memory",
    "balloon": "balloon MIB [SECONDS]: set the balloon's target, and wait for it for 60 s",
}
