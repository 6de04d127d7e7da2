"""Alembic migrations of the record, and the two calls that use them."""
