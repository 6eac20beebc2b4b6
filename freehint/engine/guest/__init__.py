"""The guest: CPUs with their workloads, kernel threads, programs and recorded guests."""
