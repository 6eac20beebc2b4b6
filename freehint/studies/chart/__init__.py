"""The decision chart: for each kind of guest and host, what should an operator choose?"""
