"""What people look at: pages over the API's answers, which they get over HTTP only.

Streamlit puts this folder first on the path of imports: no file here may bear a name of the root's.
"""
