"""What a database error means: is it worth another try, and what should a person do about it.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html. Neon's texts: its documents
on connection errors and quotas, and the issue threads of its users.
"""

from __future__ import annotations

import psycopg

# Neon while a compute wakes or moves, and every server while it starts or a connection breaks.
_TRANSIENT_STATES = frozenset({"57P01", "57P02", "57P03", "40001", "40P01", "53300"})
_TRANSIENT_CLASS = "08"  # connection exceptions
_TRANSIENT_TEXTS = (
    "couldn't connect to compute node",
    "control plane request failed",
    "console request failed",
    "failed to acquire permit",
    "the database system is",
    "terminating connection",
    "ssl connection has been closed",
    "server closed the connection",
    "connection is lost",
    "connection is closed",
    "connection refused",
    "connection reset",
    "broken pipe",
    "timeout",
    "timed out",
    "could not translate host name",
    "name resolution",
    "network is unreachable",
    "no route to host",
    "consuming input failed",
    "connection slots",
    "too many clients",
    "temporary failure",
    "server login failed: try again",
)
# These win over the texts above: no wait mends them.
_REMEDIES = (
    ("upgrade your plan", "The plan's quota is used up: wait for the next billing period."),
    (
        "project size limit",
        "The storage quota is full: raise the plan or lower the limit of coins.",
    ),
    ("endpoint is disabled", "Enable the endpoint in Neon's console."),
    ("endpoint has been disabled", "Enable the endpoint in Neon's console."),
    ("password authentication failed", "Correct user and password in DATABASE_URL."),
    ("no password supplied", "Put the password into DATABASE_URL."),
    ("fe_sendauth", "Put the password into DATABASE_URL."),
    ("no pg_hba.conf entry", "The server does not admit this user or host: check DATABASE_URL."),
    ("does not support ssl", "Set sslmode in DATABASE_URL to what the server offers."),
    ("no space left on device", "Make room on the database's disk."),
    ('" does not exist', "Correct user and database in DATABASE_URL, or create them."),
    ("permission denied", "Grant the user of DATABASE_URL the right to create and write tables."),
    ("invalid sslmode", "Correct sslmode in DATABASE_URL."),
    ("invalid integer value", "Correct the number in DATABASE_URL."),
    ("invalid port", "Correct the port in DATABASE_URL."),
    ("ssl is required", "Add ?sslmode=require to DATABASE_URL."),
)
_REMEDIES_BY_STATE = {
    "28P01": "Correct user and password in DATABASE_URL.",
    "28000": "Correct the user in DATABASE_URL, or let the server admit it.",
    "3D000": "Correct the database's name in DATABASE_URL, or create the database.",
    "42P07": "Tables of that name are there already: give Market Sentinel a database of its own.",
    "42710": "Types of that name are there already: give Market Sentinel a database of its own.",
    "42P01": "A table was removed by hand: bring it back, or start afresh with reset_db.py.",
    "42501": "Grant the user of DATABASE_URL the right to create and write tables.",
    "25006": "Point DATABASE_URL at the primary, not at a read-only replica.",
    "53100": "Make room on the database's disk.",
    "55P03": "Another session holds the database's lock: look for a hanging run and end it.",
    "57014": "The statement took too long: look for a blocked or overloaded server.",
}


def is_transient(error: psycopg.Error) -> bool:
    """Whether the same work may succeed on a new connection in a moment."""
    text = str(error).lower()
    if error.sqlstate in _REMEDIES_BY_STATE or any(part in text for part, _ in _REMEDIES):
        return False
    state = error.sqlstate or ""
    if state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASS):
        return True
    # While connecting there is no SQLSTATE, and Neon's proxy uses XX000: the text decides.
    return state in ("", "XX000") and any(part in text for part in _TRANSIENT_TEXTS)


def explain(error: psycopg.Error, place: str) -> str:
    """One sentence on what happened to the database at `place`, and one on what to do."""
    text = str(error).lower()
    by_text = next((remedy for part, remedy in _REMEDIES if part in text), None)
    by_state = _REMEDIES_BY_STATE.get(error.sqlstate or "")
    # Neon's quota and a full disk share a state; elsewhere the state knows better than the words.
    remedy = by_text if error.sqlstate == "53100" and by_text else by_state or by_text
    if remedy is None:
        remedy = "Check that the server runs and that DATABASE_URL names it."
    return f"The database {place} cannot be used: {_one_line(error)}. {remedy}"


def _one_line(error: psycopg.Error) -> str:
    """The server's words without the list of every address tried."""
    words = " ".join(str(error).partition("Multiple connection attempts")[0].split()).rstrip(".")
    return words if len(words) <= 300 else words[:299] + "…"
