"""Market Sentinel's own columns, as its export has them, also after a spreadsheet saved the file.

Unlike `POST /portfolio/transactions.csv`, which takes an export as it is, this accepts symbols in
place of coin ids, other separators, decimal commas and capital letters.
"""

from __future__ import annotations

from services.api.imports.coins import CoinResolver
from services.api.imports.entries import Row
from services.api.imports.fields import Dialect
from services.api.imports.options import ImportOptions

AMOUNT_COLUMNS = frozenset(
    {"quantity", "price", "price_usd", "fee", "fee_usd", "idr_per_usd", "to_quantity"}
)


def find_fields(
    row: Row, dialect: Dialect, options: ImportOptions, coins: CoinResolver
) -> dict[str, str]:
    """Return the fields of a row as a transaction request has them. Raises BadLine."""
    fields = {name: text for name, text in row.fields.items() if text}
    if made_at := fields.get("made_at"):
        fields["made_at"] = dialect.time(made_at).isoformat()
    for name in fields.keys() & AMOUNT_COLUMNS:
        fields[name] = f"{dialect.number(fields[name]):f}"
    for name in fields.keys() & {"coin_id", "to_coin_id"}:
        if not coins.has_id(fields[name]):
            at = dialect.time(fields.get("made_at", ""))
            fields[name] = coins.resolve(fields[name], at).coin.coin_id
    if "currency" in fields:
        fields["currency"] = fields["currency"].lower()
    if fields.get("currency") == "idr" and options.idr_per_usd:
        fields.setdefault("idr_per_usd", f"{options.idr_per_usd:f}")
    if options.wallet:
        fields.setdefault("wallet", options.wallet)
    return fields
