"""The application: routes by noun, errors as problems, a token, answers kept until data changes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from sentinel.clocks import SYSTEM_CLOCKS
from services.api import schemas
from services.api.auth import Access, Head
from services.api.caching import Cache
from services.api.connection_pool import Store
from services.api.dependencies import Context
from services.api.problems import described, handle_errors
from services.api.routes import alerts, coins, forecasts, operations, portfolio, upkeep, wallets
from services.settings import MonitorSettings

MOST_BODY_BYTES = 5_000_000  # of a CSV with ten thousand lines
SMALLEST_GZIP = 1_000  # bytes; less gains nothing

DESCRIPTION = """Prices, alerts, forecasts and a portfolio from Market Sentinel. Prices are in USD,
shares are fractions, times are UTC (ISO 8601). Lists are limited; `next` leads on. Errors are
application/problem+json. Data provided by CoinGecko."""


def create_app(
    monitor: MonitorSettings, store: Store, now: Callable[[], datetime] = SYSTEM_CLOCKS.now
) -> FastAPI:
    """The API over a store, which it opens and closes."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        store.open()
        yield
        store.close()

    app = FastAPI(
        title="Market Sentinel",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        max_body_size=MOST_BODY_BYTES,
        responses=described(401),
    )
    app.state.context = Context(store, monitor, now)
    for noun in (coins, forecasts, alerts, portfolio, wallets, operations, upkeep):
        app.include_router(noun.router)
    handle_errors(app)
    # The last added is the first to see a request.
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP, compresslevel=5)
    app.add_middleware(Cache, version=store.version)
    app.add_middleware(Access, token=monitor.api_token)
    app.add_middleware(Head)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Put the shape of problems, and the token, into the OpenAPI description."""
    generate = app.openapi

    def describe() -> dict[str, object]:
        description = generate()
        components = description.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = schemas.Problem.model_json_schema()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"token": []}, {}]
        return description

    app.openapi = describe  # type: ignore[method-assign]
