"""Reclaim: LRU lists, kswapd and the slow path of the page allocator, as kernels."""
