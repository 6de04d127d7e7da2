"""The soak: hours of mixed traffic in minutes, with every process restarted on the way.

`python -m tests.soak --minutes 30` (or `make soak`). docs/soak.md says what it does and how to read it.
"""
