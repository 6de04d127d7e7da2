"""The running system, as two people use it: over HTTP and in a browser."""
