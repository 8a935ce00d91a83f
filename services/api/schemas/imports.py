"""The options of an import, and the responses to a preview and an import."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.imports.entries import Question
from services.api.imports.lines import LineStatus
from services.api.portfolio.models import TransactionKind
from services.api.schemas.base import NO_NUL, Amount, ApiModel

Header = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class ImportMapping(BaseModel):
    """Which column of a file holds which field, and how the file writes dates and numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_at: Header | None = None
    # buy, sell, deposit and so on; without it negative quantities are sales.
    kind: Header | None = None
    # BTC/USDT; or `coin` and `currency`.
    pair: Header | None = None
    coin: Header | None = None
    # A column, or the currency itself: IDR.
    currency: Header | None = None
    quantity: Header | None = None
    price: Header | None = None
    # Without the fee.
    total: Header | None = None
    fee: Header | None = None
    fee_currency: Header | None = None
    received_coin: Header | None = None
    received_quantity: Header | None = None
    status: Header | None = None
    note: Header | None = None
    date_order: Literal["dmy", "mdy"] | None = None
    decimal_comma: bool | None = None
    # Of times without a zone, such as Asia/Jakarta.
    time_zone: Header | None = None


class ImportCoin(ApiModel):
    """A coin that a symbol of the file may mean."""

    coin_id: str
    symbol: str
    name: str
    rank: int | None


class ImportLine(ApiModel):
    """One line of a file, or the lines of one trade. Amounts are those that would be stored."""

    line: int
    # Of the same entry.
    more_lines: list[int]
    status: LineStatus
    # Why a line is ignored or a problem, and what to know of the others.
    message: str
    # The option that answers a problem.
    asks: Question | None
    made_at: datetime | None = None
    kind: TransactionKind | None = None
    wallet: str | None = None
    coin: ImportCoin | None = None
    # Other coins with the same symbol, the best ranked first.
    alternatives: tuple[ImportCoin, ...] = ()
    quantity: Amount | None = None
    to_coin: ImportCoin | None = None
    to_quantity: Amount | None = None
    # As the file has it.
    price: Amount | None = None
    currency: str | None = None
    price_usd: Amount | None = None
    fee_usd: Amount | None = None
    # Coins that were paid as a fee are sales of their own.
    fee_sales: tuple[FeeSale, ...] = ()


class FeeSale(ApiModel):
    """A coin that was paid as a fee; it is sold, and the whole proceeds are the fee."""

    coin_id: str
    quantity: Amount
    fee_usd: Amount


class ImportPreview(ApiModel):
    """What an import of the file would do. Nothing is stored."""

    # Null: no format is known that has these columns.
    format: str | None
    format_name: str
    # Why this format was chosen.
    reason: str
    headers: list[str]
    # The first rows, to choose columns by.
    sample: list[list[str]]
    suggested_mapping: dict[str, str]
    # Why the file as a whole cannot be imported; empty if it can.
    message: str
    counts: dict[LineStatus, int]
    lines: list[ImportLine]


class FileImportResponse(ApiModel):
    """How many entries of a file were new, stored already, or ignored."""

    format: str
    added: int
    skipped: int
    ignored: int


ImportLine.model_rebuild()
