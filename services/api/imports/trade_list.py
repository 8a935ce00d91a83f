"""Read files with one trade a line: date, pair, side, price, quantity, total, fee.

Most exchanges export such a file; only the names of the columns differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

from services.api.imports.entries import (
    NEGATIVE_FEE,
    Amount,
    BadLine,
    Ignored,
    ImportedEntry,
    Result,
    Row,
    read_rows,
)
from services.api.imports.fields import Dialect, split_pair
from services.api.imports.table import Table

Role = Literal[
    "made_at", "kind", "pair", "coin", "currency", "quantity", "price", "total", "fee",
    "fee_currency", "received_coin", "received_quantity", "status", "note",
]  # fmt: skip
# Our field → the columns that may hold it, by their folded names; the first one that is filled.
Columns = Mapping[Role, tuple[str, ...]]
Action = Literal["buy", "sell", "trade", "in", "out", "reward"]

# The words of English and Indonesian files. true and false: `isBuyer` of the exchanges' interfaces.
WORDS: dict[Action, frozenset[str]] = {
    "buy": frozenset({"buy", "beli", "pembelian", "purchase", "bought", "b", "true", "1", "bid"}),
    "sell": frozenset({"sell", "jual", "penjualan", "sale", "sold", "s", "false", "0", "ask"}),
    "trade": frozenset({"trade", "convert", "conversion", "swap", "tukar", "konversi", "exchange"}),
    "in": frozenset(
        {"deposit", "receive", "received", "terima", "setor", "masuk", "transfer in", "setoran"}
        | {"kirim masuk"}
    ),
    "out": frozenset(
        {"withdraw", "withdrawal", "send", "sent", "kirim", "tarik", "penarikan", "keluar"}
        | {"transfer out"}
    ),
    "reward": frozenset(
        {"reward", "rewards", "bonus", "hadiah", "staking", "staking reward", "interest", "bunga"}
        | {"airdrop", "cashback", "referral", "earn"}
    ),
}
DONE = frozenset(
    {"", "filled", "done", "completed", "complete", "success", "successful", "executed", "closed"}
    | {"selesai", "sukses", "berhasil", "terisi", "partially filled", "partial filled"}
)
NOT_DONE = frozenset(
    {"cancelled", "canceled", "batal", "dibatalkan", "failed", "gagal", "rejected", "ditolak"}
    | {"expired", "pending", "open", "new", "processing", "diproses", "menunggu", "kedaluwarsa"}
)
# A total that differs more from price times quantity shows that a column is read wrongly.
MAX_TOTAL_DIFFERENCE = Decimal("0.05")
# A total that differs from price times quantity by the fee, up to rounding, includes the fee.
MAX_FEE_DIFFERENCE = Decimal("0.01")


def read_trade_list(
    table: Table,
    dialect: Dialect,
    columns: Columns,
    *,
    currency: str = "",
    split: Callable[[str], tuple[str, str]] = split_pair,
) -> list[Result]:
    """Return the entries of a file; `currency` is that of prices if no column names one."""

    def read(rows: tuple[Row, ...]) -> ImportedEntry:
        return _TradeLine(rows[0], dialect, columns, currency, split).read()

    return read_rows(((row,) for row in table.rows), read)


class _TradeLine:
    """One line and how it is read."""

    def __init__(
        self,
        row: Row,
        dialect: Dialect,
        columns: Columns,
        currency: str,
        split: Callable[[str], tuple[str, str]],
    ) -> None:
        self._row, self._dialect, self._columns = row, dialect, columns
        self._currency, self._split = currency, split

    def read(self) -> ImportedEntry:
        """Return the entry. Raises BadLine and Ignored."""
        self._check_status()
        quantity_text = self._require("quantity")
        action = self._find_action(quantity_text)
        base, quote = self._find_symbols()
        quantity = self._dialect.amount(quantity_text, base)
        if not quantity.quantity:
            raise Ignored("the quantity is 0")
        given, received = self._find_sides(action, quantity, quote)
        return ImportedEntry(
            rows=(self._row,),
            made_at=self._dialect.time(self._require("made_at")),
            kind=_KINDS[action],
            given=given,
            received=received,
            fees=self._find_fees(base, quote),
            price=self._find_price(quote),
            note=self._get("note"),
        )

    def _get(self, role: Role) -> str:
        return self._row.get(*self._columns.get(role, ()))

    def _require(self, role: Role) -> str:
        if text := self._get(role):
            return text
        present = (name for name in self._columns.get(role, ()) if name in self._row.fields)
        names = " or ".join(f"'{name}'" for name in present)
        reason = f"{names} is empty" if names else f"no column for {role}: name it in mapping"
        raise BadLine(f"{reason}.", "mapping")

    def _check_status(self) -> None:
        status = self._get("status").lower()
        if status in NOT_DONE:
            raise Ignored(f"the order's status is {status}")
        if status not in DONE:
            raise BadLine(
                f"the status '{status[:40]}' is not known: delete the line if the trade was not "
                "done."
            )

    def _find_action(self, quantity: str) -> Action:
        word = " ".join(self._get("kind").lower().replace("_", " ").split())
        if not self._columns.get("kind"):
            return "sell" if quantity.startswith("-") else "buy"
        for action, words in WORDS.items():
            if word in words:
                return action
        raise BadLine(
            f"the type '{word[:40]}' is not known: delete the line, or rename the type to buy or "
            "sell."
        )

    def _find_symbols(self) -> tuple[str, str]:
        """Return coin and currency; the currency is empty if the line names none."""
        currency = self._get("currency").upper() or self._currency
        pair = self._get("pair")
        if not pair:
            return self._require("coin").upper(), currency
        try:
            return self._split(pair)
        except BadLine:
            if not currency or not pair.isalnum():
                raise
            return pair.upper(), currency  # a column "symbol" may hold the coin alone

    def _find_sides(
        self, action: Action, quantity: Amount, quote: str
    ) -> tuple[Amount | None, Amount | None]:
        if action in {"in", "reward"}:
            return None, quantity
        if action == "out":
            return quantity, None
        if action == "trade":
            return quantity, self._dialect.amount(
                self._require("received_quantity"), self._require("received_coin")
            )
        total = self._find_total(action, quantity, quote)
        return (total, quantity) if action == "buy" else (quantity, total)

    def _find_total(self, action: Action, quantity: Amount, quote: str) -> Amount:
        """Return the money of a purchase or a sale, without the fee."""
        price = self._find_price(quote)
        text = self._get("total")
        if not text:
            if price is None:
                raise BadLine("the line has neither a price nor a total.", "mapping")
            return Amount(quantity.quantity * price.quantity, price.symbol)
        if not quote and text[-1:].isdigit():
            raise BadLine("the currency of the price is not known: name it in mapping.", "mapping")
        total = self._dialect.amount(text, quote)
        if price is None:
            return total
        product = quantity.quantity * price.quantity
        fees = self._find_fees(quantity.symbol, quote)
        fee = sum((fee.quantity for fee in fees if fee.symbol == total.symbol), Decimal(0))
        without_fee = total.quantity + (-fee if action == "buy" else fee)
        if abs(product - without_fee) < fee * MAX_FEE_DIFFERENCE:
            return Amount(without_fee, total.symbol)
        if abs(product - total.quantity) > MAX_TOTAL_DIFFERENCE * max(product, total.quantity):
            raise BadLine(
                f"the total {total.quantity:f} is not price times quantity ({product:f}): a column "
                "or the decimal separator is read wrongly.",
                "mapping",
            )
        return total

    def _find_price(self, quote: str) -> Amount | None:
        text = self._get("price")
        if not text:
            return None
        if not quote:
            raise BadLine("the currency of the price is not known: name it in mapping.", "mapping")
        return self._dialect.amount(text, quote)

    def _find_fees(self, base: str, quote: str) -> tuple[Amount, ...]:
        text = self._get("fee")
        if not text or text == "-":
            return ()
        # 0.11INCH is 0.1 of 1INCH, if that is the coin of the trade.
        is_in_base = base[:1].isdigit() and text.upper().endswith(base)
        symbol = self._get("fee_currency").upper() or (base if is_in_base else quote)
        fee = self._dialect.amount(text, symbol)
        if fee.quantity and text.startswith("-"):
            raise BadLine(NEGATIVE_FEE)
        return (fee,) if fee.quantity else ()


_KINDS: dict[Action, Literal["trade", "transfer", "reward"]] = {
    "buy": "trade",
    "sell": "trade",
    "trade": "trade",
    "in": "transfer",
    "out": "transfer",
    "reward": "reward",
}
