"""Drills: parts of the running system are broken on purpose, and the logs tell what the public saw.

`python -m tests.drills` runs them. What decides is `checker`, which reads only what the generator and
the loopback platform wrote down, never our database.
"""
