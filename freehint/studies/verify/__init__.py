"""Every published number beside the model: rows in data/published, run and judged."""
