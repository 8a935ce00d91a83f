"""Reads of the market data that several packages share, one module per subject.

Each function takes a connection (`sentinel.storage.connection.Session.use` passes one) and returns
frozen values. SQL that only one package needs stands in that package.
"""
