"""WhatsApp, from a person's message to the answer in their app, over HTTP on both sides."""
