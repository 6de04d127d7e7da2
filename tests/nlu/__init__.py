"""The plain modules of bot/nlu and actions: fast, without a Rasa server."""
