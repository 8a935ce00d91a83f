"""The dashboard: Streamlit pages over the API's responses, which it reads over HTTP only.

Streamlit puts this folder first on the import path: no file here may have the name of a module at
the repository's root or in the standard library.
"""
