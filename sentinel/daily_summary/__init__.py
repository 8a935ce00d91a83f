"""The daily summary: one message a day, at an hour of the user's choice, which is a sign of life.

`queueing.queue_if_due` queues it, from the loop and from the scheduled run.
"""
