"""A guest of one CPU under pressure: page cache, anonymous memory, swap, kswapd and the OOM."""
