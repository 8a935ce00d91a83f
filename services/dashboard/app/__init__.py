"""The script that Streamlit runs, alone in its folder for two reasons.

Streamlit puts the script's folder first on the import path, where the names of the dashboard's
modules could hide others. And a folder `pages` beside the script would switch on Streamlit's older
kind of navigation: the first viewer of a new server who opens the address of a page would see an
empty one (PagesManager in streamlit/runtime/pages_manager.py).
"""
