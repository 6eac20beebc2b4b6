"""Guests under reclaim: steps, drives, a balloon that is inflated, and rows of vmscan."""
