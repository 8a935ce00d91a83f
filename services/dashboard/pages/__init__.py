"""The pages. `app.py` lists them in the navigation."""
