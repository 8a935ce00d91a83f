"""SQL statements of the API and the functions that run them, one module for each subject.

The functions take a connection and return rows as dictionaries, in the shape of the responses in
`services/api/schemas`.
"""
