"""The page that shows the portfolio in percentages: no amounts, no dates of payments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sentinel.amounts import Language, classify_change, format_percent
from sentinel.site import pages, svg
from sentinel.site.formatting import format_duration
from sentinel.site.market import HourSource
from sentinel.site.price_line import Bounds, draw_line
from services.api.portfolio.models import Holding, Portfolio
from services.api.portfolio.period_returns import PERIODS
from services.api.portfolio.return_models import Figure, PeriodReturns, PortfolioReturns
from services.api.share_texts import DURATION_UNITS, TEXTS

# Smaller holdings are one line.
MAX_HOLDINGS = 15
# The line has this many points, however long the time is: their number would tell the first day.
LINE_POINTS = 60
POINT_WIDTH, LINE_HEIGHT = 20, 300
# A line that moves less than this part looks flat.
MIN_RANGE = 0.02


@dataclass(frozen=True, slots=True)
class SharedFigures:
    """What the page shows."""

    portfolio: Portfolio
    returns: PortfolioReturns
    # The growth of 100 by day; None: a price is missing.
    line: Sequence[Decimal | None]
    now: datetime


def render_share_pages(figures: SharedFigures) -> Mapping[str, bytes]:
    """Return the page by language."""
    return {language: _render(figures, language).encode() for language in TEXTS}


def render_gone_page() -> bytes:
    """Return the page of a link that does not work, in both languages."""
    sentences = "".join(
        f'<p lang="{language}">{texts["gone"]}</p>' for language, texts in TEXTS.items()
    )
    head = '<!doctype html><meta charset="utf-8"><meta name="robots" content="noindex">'
    return f"{head}<title>Market Sentinel</title>{sentences}".encode()


def _render(figures: SharedFigures, language: Language) -> str:
    texts = TEXTS[language]
    held = [holding for holding in figures.portfolio.holdings if holding.quantity]
    return pages.render(
        "share.html",
        **pages.read_style("site.css", "market.css"),
        language=language,
        texts=texts,
        holdings=[_describe_holding(holding, language) for holding in held[:MAX_HOLDINGS]],
        others=_describe_others(held[MAX_HOLDINGS:], language),
        periods=_describe_periods(figures.returns, language),
        line=_draw_growth(figures.line, language),
        prices=_describe_prices(held, figures.now, language),
    )


def _describe_holding(holding: Holding, language: Language) -> dict[str, Any]:
    share = holding.share
    return {
        "name": holding.name,
        "symbol": holding.symbol,
        "part": TEXTS[language]["no_price"] if share is None else _format_part(share, language),
        "bar": "" if share is None else svg.draw_share(float(share), None, holding.name),
    }


def _describe_others(holdings: Sequence[Holding], language: Language) -> str:
    if not holdings:
        return ""
    part = sum((holding.share or Decimal(0) for holding in holdings), Decimal(0))
    return TEXTS[language]["others"].format(count=len(holdings), part=_format_part(part, language))


def _format_part(share: Decimal, language: Language) -> str:
    return format_percent(float(share), language)


def _describe_periods(returns: PortfolioReturns, language: Language) -> list[dict[str, str]]:
    return [
        {
            "name": TEXTS[language][each.period],
            "portfolio": _format_figure(each.usd.time_weighted, language),
            "bitcoin": _format_figure(_pick_bitcoin(returns, each), language),
            "direction": classify_change(_to_float(each.usd.time_weighted)),
        }
        for each in returns.periods
    ]


def _pick_bitcoin(returns: PortfolioReturns, period: PeriodReturns) -> Figure:
    """Return Bitcoin's return. Since the first payment it would tell the minute of that payment."""
    length = PERIODS[period.period]
    is_whole = length is not None and period.starts_at <= returns.valued_at - length
    return period.usd.bitcoin if is_whole else Figure(None)


def _format_figure(figure: Figure, language: Language) -> str:
    # Not the reason: it names the dates of payments.
    return format_percent(_to_float(figure), language, signed=True)


def _to_float(figure: Figure) -> float | None:
    return None if figure.value is None else float(figure.value)


def _draw_growth(line: Sequence[Decimal | None], language: Language) -> dict[str, Any] | None:
    """Return the path of the line and a sentence about it; None for less than two days."""
    known = [float(level) for level in line if level is not None]
    if len(known) < 2:
        return None
    last = len(line) - 1
    chosen = [line[round(n * last / (LINE_POINTS - 1))] for n in range(LINE_POINTS)]
    levels = [None if level is None else float(level) for level in chosen]
    bounds = Bounds(min(known), max(known))
    sources: list[HourSource] = ["observed"] * LINE_POINTS
    path = draw_line(
        levels, sources, bounds.widen(MIN_RANGE), hour_width=POINT_WIDTH, height=LINE_HEIGHT
    )
    label = TEXTS[language]["line"].format(
        last=_format_level(known[-1], language),
        low=_format_level(bounds.low, language),
        high=_format_level(bounds.high, language),
    )
    width = LINE_POINTS * POINT_WIDTH
    return {"path": path.observed, "label": label, "width": width, "height": LINE_HEIGHT}


def _format_level(level: float, language: Language) -> str:
    return format_percent(level / 100, language).removesuffix("%")


def _describe_prices(held: Sequence[Holding], now: datetime, language: Language) -> str:
    texts = TEXTS[language]
    times = [holding.observed_at for holding in held if holding.observed_at]
    if not times:
        return texts["no_prices"]
    oldest = min(times)
    age = format_duration(max(0.0, (now - oldest).total_seconds() / 60))
    if language == "id":
        age = " ".join(DURATION_UNITS.get(word, word) for word in age.split())
    return texts["prices"].format(at=f"{oldest.astimezone(UTC):%Y-%m-%d %H:%M}", age=age)
