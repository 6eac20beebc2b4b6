"""The host: its end of the ring, live migration, and memory shared by several guests."""
