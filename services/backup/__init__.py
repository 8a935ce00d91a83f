"""Verified backups: a dump counts once it was restored and compared with the original."""
