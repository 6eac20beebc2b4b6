"""Exact free lists, pcp lists and pageblocks of a kernel, read by drgn and checked."""
