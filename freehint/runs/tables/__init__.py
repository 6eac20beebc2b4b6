"""The tables of a run: what is left of its engine, and the DataFrames that are made of it."""
