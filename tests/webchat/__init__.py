"""Web chat over real sockets, and in a real browser."""
