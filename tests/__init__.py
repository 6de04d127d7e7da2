"""Tests, drills and the platforms that stand in for real ones. Nothing here ships to a force."""
