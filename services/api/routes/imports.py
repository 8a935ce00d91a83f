"""Import the files that exchanges export: preview, and import."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Depends, Query
from pydantic import TypeAdapter, ValidationError

from sentinel.storage.connection import Connection
from services.api.dependencies import RequestContext
from services.api.imports.coins import CoinChoice
from services.api.imports.formats import FORMAT_IDS
from services.api.imports.lines import LineStatus, PreparedLine
from services.api.imports.options import ImportOptions
from services.api.imports.preparation import PreparedFile, prepare_file
from services.api.imports.reading import AUTO, UNKNOWN, ImportRequest
from services.api.imports.table import UnreadableFile
from services.api.portfolio.models import Oversold
from services.api.portfolio.transactions import lock_transactions, store_identified
from services.api.problems import conflict, problem_responses
from services.api.schemas.base import CsvBody, UnsignedAmount
from services.api.schemas.imports import (
    FeeSale,
    FileImportResponse,
    ImportCoin,
    ImportLine,
    ImportMapping,
    ImportPreview,
)
from services.api.schemas.portfolio import TransactionCoin, WalletName

router = APIRouter(tags=["portfolio"])
T = TypeVar("T")
SAMPLE_ROWS = 3
# Of one parameter: the server takes 64 kB for the address and all headers.
MAX_JSON_CHARACTERS = 4_000

_COINS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, TransactionCoin])
_PRICES: TypeAdapter[dict[int, Decimal]] = TypeAdapter(dict[int, UnsignedAmount])
_FORMAT_PATTERN = f"^({'|'.join((AUTO, *FORMAT_IDS))})$"
_ERRORS = problem_responses(400, 403, 409, 413, 422, 503)


def _json_query(description: str) -> Any:
    """Return a query parameter that holds a JSON object."""
    return Query(max_length=MAX_JSON_CHARACTERS, description=f"JSON: {description}")


def _read_options(
    *,
    format: Annotated[str, Query(pattern=_FORMAT_PATTERN)] = AUTO,  # noqa: A002
    wallet: Annotated[WalletName, Query(description="of all entries")] = "",
    stablecoins_as_usd: Annotated[bool, Query(description="false: they are coins")] = True,
    coins: Annotated[str, _json_query("coin id by symbol")] = "{}",
    mapping: Annotated[
        str, _json_query("column by our field; date_order, decimal_comma, time_zone, currency")
    ] = "{}",
    idr_per_usd: Annotated[
        str | None,
        # As text: a query has no numbers.
        Query(
            pattern=r"^[0-9]{1,12}(\.[0-9]{1,18})?$",
            description="for rupiah of dates without a stored rate",
        ),
    ] = None,
    prices: Annotated[str, _json_query("of one coin in USD, by the number of the line")] = "{}",
    transfers: Annotated[
        Literal["import", "ignore"], Query(description="deposits and withdrawals of coins")
    ] = "import",
) -> ImportRequest:
    """Return the options of a request. Raises HTTPException (409)."""
    chosen = _parse("mapping", TypeAdapter(ImportMapping), mapping)
    # As variables: the options take any Mapping, and mypy infers T from where a value goes.
    own_coins = _parse("coins", _COINS, coins)
    own_prices = _parse("prices", _PRICES, prices)
    own_fields = {"date_order", "decimal_comma", "time_zone"}
    return ImportRequest(
        format=format,
        columns=chosen.model_dump(exclude_none=True, exclude=own_fields),
        date_order=chosen.date_order,
        decimal_comma=chosen.decimal_comma,
        zone=_find_zone(chosen.time_zone),
        options=ImportOptions(
            wallet=wallet,
            stablecoins_as_usd=stablecoins_as_usd,
            coins=own_coins,
            idr_per_usd=Decimal(idr_per_usd or 0) or None,
            prices=own_prices,
            ignore_transfers=transfers == "ignore",
        ),
    )


Options = Annotated[ImportRequest, Depends(_read_options)]


@router.post("/portfolio/import/preview", responses=_ERRORS)
def preview_import(
    context: RequestContext, options: Options, content: CsvBody = b""
) -> ImportPreview:
    """What importing a file would add; stores nothing. The body is the file as it is.

    Formats: Market Sentinel's own columns, Binance, Coinbase, Kraken, Indodax, Tokocrypto, Pintu,
    and any other CSV by a mapping.
    """
    prepared = _or_conflict(
        lambda: context.pool.read(lambda c: prepare_file(context, c, content, options))
    )
    return _describe(prepared)


@router.post("/portfolio/import", responses=_ERRORS)
def import_file(
    context: RequestContext, options: Options, content: CsvBody = b""
) -> FileImportResponse:
    """Add the entries of a file, all or none; entries that were imported before are skipped.

    The options are those of the preview, which shows each line with its problem.
    """

    def write(connection: Connection) -> FileImportResponse:
        lock_transactions(connection)  # another import of the file may be running
        prepared = prepare_file(context, connection, content, options)
        _refuse_problems(prepared)
        store_identified(connection, prepared.new_transactions)
        return FileImportResponse(
            format=prepared.reading.format or "",
            added=prepared.count("new"),
            skipped=prepared.count("duplicate"),
            ignored=prepared.count("ignored"),
        )

    return _or_conflict(lambda: context.pool.write(write))


def _refuse_problems(prepared: PreparedFile) -> None:
    """Raise HTTPException (409) if the file cannot be imported as a whole."""
    if prepared.reading.format is None:
        raise conflict(f"Nothing was imported. {UNKNOWN}")
    problems = [line for line in prepared.lines if line.status == "problem"]
    if problems:
        first = problems[0]
        others = len(problems) - 1
        noun = "line has a problem" if others == 1 else "lines have problems"
        more = f" {others} more {noun}." if others else ""
        raise conflict(f"Nothing was imported. Line {first.rows[0].number}: {first.message}{more}")
    if prepared.conflict:
        raise conflict(f"Nothing was imported. {prepared.conflict}")


def _or_conflict(work: Callable[[], T]) -> T:
    """Raise HTTPException (409) for a file that is no table, and for a sale of too much."""
    try:
        return work()
    except UnreadableFile as error:
        raise conflict(f"Nothing was imported. {error}") from error
    except Oversold as error:  # a transaction that was stored in between
        raise conflict(f"Nothing was imported. {error}") from error


def _parse(name: str, adapter: TypeAdapter[T], text: str) -> T:
    """Return the value of a JSON parameter. Raises HTTPException (409)."""
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise conflict(f"{where}: {first['msg']}") from error


def _find_zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise conflict(f"mapping.time_zone: there is no time zone '{name[:50]}'.") from error


def _describe(prepared: PreparedFile) -> ImportPreview:
    reading = prepared.reading
    return ImportPreview(
        format=reading.format,
        format_name=reading.name,
        reason=reading.reason,
        headers=list(reading.table.headers),
        sample=[list(row.cells) for row in reading.table.rows[:SAMPLE_ROWS]],
        suggested_mapping=reading.suggested_mapping,
        message=prepared.conflict or ("" if reading.format else UNKNOWN),
        counts={status: prepared.count(status) for status in get_args(LineStatus)},
        lines=[_describe_line(line) for line in prepared.lines],
    )


def _describe_line(line: PreparedLine) -> ImportLine:
    shown = ImportLine(
        line=line.rows[0].number,
        more_lines=[row.number for row in line.rows[1:]],
        status=line.status,
        message=line.message,
        asks=line.asks,
    )
    if line.built is None:
        return shown
    main, built = line.transactions[0], line.built
    return shown.model_copy(
        update={
            "made_at": main.made_at,
            "kind": main.kind,
            "wallet": main.wallet,
            "coin": _describe_coin(built.coin.coin),
            "alternatives": tuple(_describe_coin(coin) for coin in built.coin.alternatives),
            "quantity": main.quantity,
            "to_coin": _describe_coin(built.to_coin.coin) if built.to_coin else None,
            "to_quantity": main.to_quantity,
            "price": built.price.quantity if built.price else None,
            "currency": built.price.symbol if built.price else None,
            "price_usd": main.price_usd,
            "fee_usd": main.fee_usd,
            "fee_sales": tuple(
                FeeSale(coin_id=sale.coin_id, quantity=-sale.quantity, fee_usd=sale.fee_usd)
                for sale in line.transactions[1:]
            ),
        }
    )


def _describe_coin(coin: CoinChoice) -> ImportCoin:
    return ImportCoin(coin_id=coin.coin_id, symbol=coin.symbol, name=coin.name, rank=coin.rank)
