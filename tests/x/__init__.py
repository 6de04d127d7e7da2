"""X: what is its own. What every channel has to do is in tests/conformance."""
