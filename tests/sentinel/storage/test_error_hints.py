"""What a database error means: transient, or final with a remedy."""

from __future__ import annotations

import psycopg
import pytest

from sentinel.storage import error_hints


@pytest.mark.parametrize(
    ("text", "sqlstate", "is_transient", "words"),
    [
        # Neon's messages, from its documentation and its users' issues.
        ("ERROR:  Couldn't connect to compute node", "XX000", True, ""),
        ("Control plane request failed", "XX000", True, ""),
        ("the database system is starting up", "57P03", True, ""),
        ("terminating connection due to administrator command", "57P01", True, ""),
        ("SSL connection has been closed unexpectedly", None, True, ""),
        ("connection failed: timeout expired", None, True, ""),
        ("connection failed: Connection refused", None, True, ""),
        ("could not serialize access", "40001", True, ""),
        ("sorry, too many clients already", "53300", True, ""),
        (
            "connection failed: ERROR:  Your account or project has exceeded the compute time "
            "quota. Upgrade your plan to increase limits.",
            None,
            False,
            "next billing period",
        ),
        (
            "could not extend file because project size limit (512 MB) has been exceeded",
            "53100",
            False,
            "storage quota is full",
        ),
        ("could not extend file: No space left on device", "53100", False, "Free space"),
        ("endpoint is disabled", "XX000", False, "Neon's console"),
        ('password authentication failed for user "me"', "28P01", False, "user and password"),
        ("fe_sendauth: no password supplied", None, False, "password into DATABASE_URL"),
        (
            'character with byte sequence 0xf0 in encoding "UTF8" has no equivalent in "LATIN1"',
            "22P05",
            False,
            "CREATE DATABASE market ENCODING 'UTF8'",
        ),
        ("transaction blocks not allowed in statement pooling mode", "08P01", False, "pool_mode"),
        ("cannot execute INSERT in a read-only transaction", "25006", False, "primary"),
    ],
)
def test_each_error_is_transient_or_has_a_remedy(
    text: str, sqlstate: str | None, is_transient: bool, words: str
) -> None:
    error = psycopg.errors.lookup(sqlstate)(text) if sqlstate else psycopg.OperationalError(text)
    assert error_hints.is_transient(error) is is_transient
    message = error_hints.explain(error, "market on host")
    assert words in message
    assert message.startswith("The database market on host cannot be used: ")


def test_the_message_omits_the_list_of_tried_addresses() -> None:
    error = psycopg.OperationalError(
        "connection failed: refused\nMultiple connection attempts failed. All failures were:\n- x"
    )
    assert "Multiple" not in error_hints.explain(error, "x")


def test_the_embedded_server_and_a_question_make_whole_sentences() -> None:
    error = psycopg.OperationalError("failed: No such file\n\tIs the server accepting connections?")
    message = error_hints.explain(error, "the embedded PostgreSQL of /srv")
    start = "The embedded PostgreSQL of /srv cannot be used: failed: No such file Is the server "
    assert message.startswith(f"{start}accepting connections? Check")
