"""Messages to users: catalog, composition, outbox, targets and delivery."""
