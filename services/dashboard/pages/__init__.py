"""The pages. `app/main.py` lists them in the navigation."""
