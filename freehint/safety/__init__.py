"""Is it safe?  Everything that can happen in a small guest, searched through."""
