"""The approved content: imported from files, released, and (later) drafted and reviewed.

In: files of `data/faq/` and `force/`. Out: releases in the database.
"""
