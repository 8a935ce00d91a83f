"""What a database error means: whether a retry may help, and what the user can do.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html. Neon's texts are from
its documentation of connection errors and quotas, and from issues of its users.
"""

from __future__ import annotations

import psycopg

# Errors of Neon while a compute starts or moves, and of every server while it starts or stops. The
# other codes are conflicts between transactions and too many connections.
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
# Errors that waiting does not cure, with what to do. They take precedence over the texts
# above, one of which the same message may contain.
_REMEDIES_BY_TEXT = (
    ("upgrade your plan", "The plan's quota is used up: wait for the next billing period."),
    (
        "project size limit",
        "The storage quota is full: upgrade the plan, or lower the limit of coins.",
    ),
    ("endpoint is disabled", "Enable the endpoint in Neon's console."),
    ("endpoint has been disabled", "Enable the endpoint in Neon's console."),
    ("password authentication failed", "Correct user and password in DATABASE_URL."),
    ("no password supplied", "Put the password into DATABASE_URL."),
    ("fe_sendauth", "Put the password into DATABASE_URL."),
    ("no pg_hba.conf entry", "The server does not accept this user or host: check DATABASE_URL."),
    ("does not support ssl", "Set sslmode in DATABASE_URL to what the server offers."),
    ("no space left on device", "Free space on the database's disk."),
    ('" does not exist', "Correct user and database in DATABASE_URL, or create them."),
    ("permission denied", "Grant the user of DATABASE_URL the right to create and write tables."),
    ("invalid sslmode", "Correct sslmode in DATABASE_URL."),
    ("invalid integer value", "Correct the number in DATABASE_URL."),
    ("invalid port", "Correct the port in DATABASE_URL."),
    (
        "statement pooling mode",
        "Set pool_mode of PgBouncer to transaction or session: a run needs transactions.",
    ),
    ("ssl is required", "Add ?sslmode=require to DATABASE_URL."),
)
CREATE_UTF8_DATABASE = (
    "Create one with UTF8 and name it in DATABASE_URL: CREATE DATABASE market ENCODING 'UTF8' "
    "TEMPLATE template0."
)
_REMEDIES_BY_STATE = {
    "28P01": "Correct user and password in DATABASE_URL.",
    "28000": "Correct the user in DATABASE_URL, or allow it on the server.",
    "3D000": "Correct the database's name in DATABASE_URL, or create the database.",
    "42P07": "A table of that name exists already: give Market Sentinel its own database.",
    "42710": "A type of that name exists already: give Market Sentinel its own database.",
    "42P01": "A table was dropped by hand: restore it, or delete everything with reset_db.py.",
    "2BP01": "Drop the other program's objects that depend on these tables first.",
    "42501": "Grant the user of DATABASE_URL the right to create and write tables.",
    "22P05": f"The database's encoding lacks a character. {CREATE_UTF8_DATABASE}",
    "25006": "Point DATABASE_URL at the primary, not at a read-only replica.",
    "53100": "Free space on the database's disk.",
    "55P03": "Another session holds the writers' lock: look for a hanging run and end it.",
    "57014": (
        "The statement took too long: check whether the server is blocked or overloaded, or raise "
        "statement_timeout."
    ),
}


def is_transient(error: psycopg.Error) -> bool:
    """Return whether the same work may succeed on a new connection soon."""
    text = str(error).lower()
    if error.sqlstate in _REMEDIES_BY_STATE or any(part in text for part, _ in _REMEDIES_BY_TEXT):
        return False
    state = error.sqlstate or ""
    if state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASS):
        return True
    # An error while connecting has no SQLSTATE, and Neon's proxy sends XX000: the text decides.
    return state in ("", "XX000") and any(part in text for part in _TRANSIENT_TEXTS)


def explain(error: psycopg.Error, display_name: str) -> str:
    """Return one sentence on what happened to the database, and one on what to do."""
    text = str(error).lower()
    by_text = next((remedy for part, remedy in _REMEDIES_BY_TEXT if part in text), None)
    by_state = _REMEDIES_BY_STATE.get(error.sqlstate or "")
    # Neon's storage quota and a full disk have the same code, 53100, so there the text decides.
    # Otherwise the code is more precise than the text.
    remedy = by_text if error.sqlstate == "53100" and by_text else by_state or by_text
    if remedy is None:
        remedy = "Check that the server runs and that DATABASE_URL is its address."
    is_embedded = display_name.startswith("the ")  # embedded PostgreSQL of a state directory
    subject = f"T{display_name[1:]}" if is_embedded else f"The database {display_name}"
    return f"{subject} cannot be used: {_as_sentence(error)} {remedy}"


def _as_sentence(error: psycopg.Error) -> str:
    """Return the server's message on one line, without libpq's list of all addresses it tried."""
    text = " ".join(str(error).partition("Multiple connection attempts")[0].split()).rstrip(".")
    text = text if len(text) <= 300 else text[:299] + "…"
    return text if text.endswith("?") else f"{text}."
