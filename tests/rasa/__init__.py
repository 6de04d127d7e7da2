"""Rasa as we run it: a small model, a real server, a real action server. Runs in .venv-assistant."""
