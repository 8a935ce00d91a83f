"""Commands from Telegram: the monitor answers its owner's messages and buttons."""
