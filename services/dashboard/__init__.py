"""The dashboard: Streamlit pages over the API's responses, which it reads over HTTP only."""
