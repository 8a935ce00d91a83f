"""The stack without containers: its processes started, watched and stopped."""
