"""A whole shift of the desk with the clock moved: eight hours in minutes, every part of the product but pages.

`python -m tests.simulation` (or `make shift`) plays it and prints a table; `test_shift.py` plays a small one.
"""
