"""Every schedule of a small guest: the search, its slices, and the tables it fills."""
