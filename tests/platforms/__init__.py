"""Platforms that stand in for real ones, so that tests never need the internet."""
