"""Bugs of the walk itself: what the zone lock and the step over bookmarks are for."""
