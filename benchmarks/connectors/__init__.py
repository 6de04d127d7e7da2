"""Stock Rasa's own Facebook and Telegram connectors beside ours, on the same loopback platforms.

`python -m benchmarks.connectors` (or `make connectors`).
"""
