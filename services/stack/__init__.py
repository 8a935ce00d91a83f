"""The whole monitor as processes of one machine, without containers."""
