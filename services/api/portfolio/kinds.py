"""What each kind of transaction requires."""

from __future__ import annotations

from collections.abc import Iterator

from services.api.portfolio.models import TransactionKind
from services.api.schemas.portfolio import TransactionRequest

# By kind: whether coins of `coin_id` come in or go out.
GAINS: dict[TransactionKind, bool] = {"buy": True, "reward": True, "sell": False, "trade": False}
ARTICLES: dict[TransactionKind, str] = {
    "buy": "a purchase",
    "sell": "a sale",
    "trade": "a trade",
    "transfer": "a transfer",
    "reward": "a reward",
}


def find_kind_errors(request: TransactionRequest, kind: TransactionKind) -> Iterator[str]:
    """Yield what a request lacks, or has too much, for its kind."""
    noun = ARTICLES[kind]
    if not request.quantity:
        yield "quantity: the quantity must not be 0."
    elif kind in GAINS and (request.quantity > 0) != GAINS[kind]:
        side = "above 0" if GAINS[kind] else "below 0, because coins are given"
        yield f"quantity: the quantity of {noun} must be {side}."
    is_internal = kind == "transfer" and request.to_wallet is not None
    if kind == "reward" or is_internal:
        noun = "a transfer between own wallets" if is_internal else noun
        if request.price:
            yield f"price: {noun} has no price; leave it out."
    elif request.price is None:
        yield f"price: {noun} needs the price of one coin, in `currency`."
    yield from _find_receiver_errors(request, kind)


def _find_receiver_errors(request: TransactionRequest, kind: TransactionKind) -> Iterator[str]:
    if kind == "trade":
        if request.to_coin_id is None or not request.to_quantity:
            yield "to_coin_id: a trade needs the coin received, and its quantity in `to_quantity`."
        elif request.to_coin_id == request.coin_id:
            yield "to_coin_id: the coin received must be another coin than the one given."
    elif request.to_coin_id is not None or request.to_quantity is not None:
        yield "to_coin_id: only a trade has a coin received and its quantity."
    if request.to_wallet is None:
        return
    if kind != "transfer":
        yield "to_wallet: only a transfer has a receiving wallet."
    elif request.to_wallet == request.wallet:
        yield "to_wallet: the receiving wallet must be another wallet."
