"""Backups that are proven: a dump counts once it was restored and compared with its origin."""
