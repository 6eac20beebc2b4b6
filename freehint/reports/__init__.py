"""Reports: a run as a page, a notebook rendered, and what they say in words."""
