"""The FastAPI application: routes by subject, errors as problems, token, compression, cache."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import SentinelError
from services.api.auth import HeadMiddleware, TokenMiddleware
from services.api.caching import CacheMiddleware
from services.api.coin_names import find_near_ids
from services.api.connection_pool import MAX_CONNECTIONS, ConnectionPool
from services.api.dependencies import ApiContext
from services.api.docs_page import router as docs_router
from services.api.openapi_fields import document_fields
from services.api.operation_ids import make_operation_id
from services.api.parameters import refuse_unknown_parameters
from services.api.problems import (
    Problem,
    UnknownCoin,
    problem_response,
    problem_responses,
    register_error_handlers,
)
from services.api.routes import (
    alert_scores,
    alerts,
    coin_page,
    coins,
    forecasts,
    health,
    history,
    imports,
    listed_coins,
    mutes,
    overview,
    past_price,
    pipeline,
    pipeline_page,
    portfolio,
    price_targets,
    rejections,
    shares,
    starred_coins,
    status_page,
    summary,
    transactions,
    wallets,
)
from services.api.status_site import StatusSite
from services.settings import MonitorSettings
from services.web_access import WebAccessMiddleware

# Enough for a CSV of ten thousand transactions.
MAX_REQUEST_BYTES = 5_000_000
# What pages of SENTINEL_API_ORIGINS may send and read beyond what each request may:
# https://fetch.spec.whatwg.org/#http-cors-protocol
CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
CORS_REQUEST_HEADERS = ("Authorization", "Content-Type", "If-None-Match")
CORS_RESPONSE_HEADERS = ("ETag", "Location", "Retry-After")
CORS_MAX_AGE_SECONDS = 3_600
# Below this size gzip saves nothing.
MIN_GZIP_BYTES = 1_000

ROUTES = (
    *(summary, overview, listed_coins, coins, history, coin_page, forecasts, starred_coins),
    *(alerts, alert_scores, mutes, price_targets),
    *(portfolio, past_price, transactions, imports, shares, wallets),
    *(pipeline, pipeline_page, rejections, health, status_page),
)

DESCRIPTION = """Prices, alerts, forecasts and a portfolio from Market Sentinel. Prices are in USD,
shares are fractions, times are UTC (ISO 8601). Lists are limited; `next` is the parameter of the
next page. Errors are application/problem+json. Data provided by [CoinGecko](https://www.coingecko.com/en/api)."""


def create_app(
    monitor: MonitorSettings, pool: ConnectionPool, now: Callable[[], datetime] = SYSTEM_CLOCKS.now
) -> FastAPI:
    """Return the application; it opens the pool when it starts and closes it when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        pool.open()
        # A further thread would only wait for a connection, and compete for the interpreter. One
        # connection is left for the data version: all responses from the cache wait for it.
        to_thread.current_default_thread_limiter().total_tokens = MAX_CONNECTIONS - 1
        yield
        pool.close()

    app = FastAPI(
        title="Market Sentinel",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # docs_page.py has ours
        redoc_url=None,
        max_body_size=MAX_REQUEST_BYTES,
        responses=problem_responses(401, 422),
        dependencies=[Depends(refuse_unknown_parameters)],
        generate_unique_id_function=make_operation_id,
    )
    site = StatusSite.for_database(monitor.settings.database_url)
    app.state.context = ApiContext(pool, monitor, now, site=site)
    for module in ROUTES:
        app.include_router(module.router)
    app.include_router(docs_router)
    register_error_handlers(app)
    _name_near_coins(app)
    _add_middleware(app, monitor, pool)
    _extend_openapi(app)
    return app


def _add_middleware(app: FastAPI, monitor: MonitorSettings, pool: ConnectionPool) -> None:
    """Add the middleware. A request passes it in reverse order: the last one sees it first."""
    app.add_middleware(GZipMiddleware, minimum_size=MIN_GZIP_BYTES, compresslevel=5)
    app.add_middleware(CacheMiddleware, read_version=pool.read_data_version)
    app.add_middleware(TokenMiddleware, token=monitor.api_token)
    app.add_middleware(HeadMiddleware)
    # Outside of the token's check: a browser sends no token with the request that asks for leave.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=monitor.api_origins,
        allow_methods=CORS_METHODS,
        allow_headers=CORS_REQUEST_HEADERS,
        expose_headers=CORS_RESPONSE_HEADERS,
        max_age=CORS_MAX_AGE_SECONDS,
    )
    app.add_middleware(
        WebAccessMiddleware,
        hosts=monitor.hosts,
        public_hosts=monitor.public_hosts,
        content_policy="default-src 'none'",
        refuse=problem_response,
        origins=monitor.api_origins,
    )


def _name_near_coins(app: FastAPI) -> None:
    """Add ids that look like an unknown one to its problem."""

    @app.exception_handler(UnknownCoin)
    async def handle_unknown_coin(request: Request, error: UnknownCoin) -> Response:
        context: ApiContext = request.app.state.context
        near: list[str] = []
        with contextlib.suppress(SentinelError):
            near = await to_thread.run_sync(
                lambda: context.pool.read(lambda c: find_near_ids(c, error.coin_id))
            )
        hint = f" Near ids: {', '.join(near)}." if near else ""
        return problem_response(error.status_code, f"{error.detail}{hint}")


def _extend_openapi(app: FastAPI) -> None:
    """Add problems, the token, field descriptions and examples to the OpenAPI description."""
    generate = app.openapi

    @functools.cache
    def generate_with_problems() -> dict[str, object]:
        description = generate()
        components = description.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        # The token or none: reads are open while no token is set.
        description["security"] = [{"token": []}, {}]
        document_fields(description)
        return description

    app.openapi = generate_with_problems  # type: ignore[method-assign]
