"""Where each cost comes from, and files of costs that were measured on a machine."""
