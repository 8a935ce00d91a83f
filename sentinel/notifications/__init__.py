"""Messages to people: outbox, senders and texts."""
