"""What a search of a cell can come to, in the words of all tables; importing this costs nothing."""

EXHAUSTED, VIOLATED, UNFINISHED = "exhausted", "violated", "not exhausted"
# Safe because the same cell with a host that discards is exhausted; a violation that only a slice
# has, so that it may need a neighbour that is not dirty.
FOLLOWS, IN_A_SLICE = "follows", "violated in a slice only"
SAFE = (EXHAUSTED, FOLLOWS)
