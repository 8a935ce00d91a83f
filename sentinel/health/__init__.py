"""The health of a deployment: one definition for the API, the commands and the dashboard."""
