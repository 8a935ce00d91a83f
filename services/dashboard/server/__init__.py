"""Files and pages that the dashboard serves beside Streamlit's application."""
