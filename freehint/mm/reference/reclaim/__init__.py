"""A plain twin of mm/reclaim/: LRU lists, vmscan and the slow path of an allocation."""
