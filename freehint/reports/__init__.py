"""Reports: a run as a page, a rendered notebook, and findings in words."""
