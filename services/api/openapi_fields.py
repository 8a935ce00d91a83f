"""Descriptions and examples of the OpenAPI description, from the source of the response classes.

The comment above a field is its description, so that it is written once. A response without an
example of its own gets one that is put together from its fields.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
FOLDER = Path(__file__).parent
DOCSTRING = ""  # no field has this name
JSON = "application/json"
TIME = "2026-11-20T12:00:00Z"

# Fields that go without a comment in every class.
COMMON = {
    "coin_id": "CoinGecko's id of the coin.",
    "symbol": "The ticker symbol of the coin.",
    "rank": "By market capitalization; null if CoinGecko does not rank the coin.",
    "observed_at": "When CoinGecko observed the price.",
    "name": "The name, for people.",
    "market_cap_usd": "Market capitalization in USD; null if CoinGecko does not know it.",
    "volume_24h_usd": "What was traded in 24 hours, in USD; null if CoinGecko does not know it.",
    "source": "Where it comes from.",
    "quantity": "The number of coins.",
    "note": "What the user wrote down.",
    "made_at": "When it was made.",
    "age_seconds": "How old it is, in seconds.",
    "message": "A sentence for people.",
    "reason": "Why; a code or a sentence.",
    "value_usd": "The value in USD.",
    "value_idr": "The value in rupiah.",
    "price_usd": "The price of one coin in USD.",
    "idr_per_usd": "The price of one USD in rupiah.",
    "items": "The items of this page.",
    "next": "The `before` or `offset` of the next page; null on the last one.",
}
# Examples of texts, by the end of a field's name; the others are amounts.
TEXTS = {
    "coin_id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "note": "for the long term",
    "wallet": "savings", "_at": TIME, "date": "2026-11-20", "start": TIME, "message": "It is full.",
    "reason": "There is no price of that day.", "id": "20261120T120030Z-6a00",
}  # fmt: skip
AMOUNT = "1500.25"
LEAVES: Mapping[str, Any] = {"integer": 1, "number": 0.05, "boolean": False, "null": None}


def document_fields(description: Schema) -> None:
    """Add descriptions of fields and examples of responses to an OpenAPI description."""
    schemas = description["components"]["schemas"]
    comments = read_comments()
    for schema in schemas.values():
        if "examples" in schema:
            schema["examples"] = [restore_nulls(e, schema, schemas) for e in schema["examples"]]
    for name, schema in schemas.items():
        own = comments.get(name.partition("_")[0], {})  # Page_CoinResponse_ is a Page
        schema.setdefault("description", own.get(DOCSTRING, ""))
        for field, known in schema.get("properties", {}).items():
            text = own.get(field) or COMMON.get(field)
            if text and "$ref" not in known:
                known.setdefault("description", text)
    for content in _list_contents(description):
        content.setdefault("example", make_example(content["schema"], schemas))


def _list_contents(description: Schema) -> Iterator[Schema]:
    """Yield the JSON content of every successful response."""
    for operations in description["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith("2") and JSON in response.get("content", {}):
                    yield response["content"][JSON]


@functools.cache
def read_comments() -> dict[str, dict[str, str]]:
    """Return the comments above the fields of all classes of the API, also inherited ones.

    At DOCSTRING they have the class's docstring.
    """
    classes: dict[str, ast.ClassDef] = {}
    lines: dict[str, list[str]] = {}
    for path in sorted(FOLDER.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name], lines[node.name] = node, source.splitlines()

    def read(name: str) -> dict[str, str]:
        if name not in classes:
            return {}
        bases = (ast.unparse(base).partition("[")[0] for base in classes[name].bases)
        inherited = {field: text for base in bases for field, text in read(base).items()}
        own = dict(_read_own(classes[name], lines[name]))
        return inherited | own | {DOCSTRING: ast.get_docstring(classes[name]) or ""}

    return {name: read(name) for name in classes}


def _read_own(node: ast.ClassDef, lines: list[str]) -> Iterator[tuple[str, str]]:
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        comment: list[str] = []
        above = field.lineno - 2
        while lines[above].lstrip().startswith("#"):
            comment.insert(0, lines[above].lstrip().removeprefix("#").strip())
            above -= 1
        if comment:
            yield field.target.id, " ".join(comment)


def make_example(schema: Schema, schemas: Mapping[str, Schema], field: str = "") -> Any:
    """Return an example of a schema: its own one, or one that its parts make up."""
    if "$ref" in schema:
        return make_example(schemas[schema["$ref"].rpartition("/")[2]], schemas, field)
    fixed = schema.get("examples") or schema.get("enum") or [schema.get("const")]
    if fixed[0] is not None:
        return fixed[0]
    if "anyOf" in schema:
        return make_example(schema["anyOf"][0], schemas, field)
    if schema.get("type") == "array":
        return [make_example(schema["items"], schemas, field)] if "items" in schema else []
    if schema.get("type") == "object":
        properties = schema.get("properties", {}).items()
        return {name: make_example(part, schemas, name) for name, part in properties}
    return _make_leaf(schema, field)


def restore_nulls(example: Any, schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return an example with the nulls that FastAPI drops from the description."""
    if "$ref" in schema:
        return restore_nulls(example, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return restore_nulls(example, schema["anyOf"][0], schemas)
    if isinstance(example, list) and "items" in schema:
        return [restore_nulls(item, schema["items"], schemas) for item in example]
    if not isinstance(example, dict):
        return example
    empty = dict.fromkeys(schema.get("required", ()))
    known = schema.get("properties", {})
    return empty | {n: restore_nulls(v, known.get(n, {}), schemas) for n, v in example.items()}


def _make_leaf(schema: Schema, field: str) -> Any:
    kind = schema.get("type", "null")
    if kind != "string":
        return LEAVES[kind]
    formats = {"date-time": TIME, "date": TIME[:10], "uri": "https://example.org/"}
    texts = (text for end, text in TEXTS.items() if field.endswith(end))
    return formats.get(schema.get("format", "")) or next(texts, AMOUNT)
