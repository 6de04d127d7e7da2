"""Many people write at the same moment: how fast their webhooks are answered, and who hears what when.

`python -m benchmarks.burst` (or `make burst`).
"""
