"""The header line that every page shows."""

from __future__ import annotations

from fastapi import APIRouter, Response

from services.api.dependencies import RequestContext
from services.api.schemas.summary import SummaryResponse
from services.api.summary import summarize

router = APIRouter(tags=["summary"])


@router.get("/summary")
def get_summary(context: RequestContext, response: Response) -> SummaryResponse:
    """Market capitalization, Bitcoin's share, the rupiah's rate, age and health in one response.

    It is 200 without a database too: then the figures are null, and `problems` says why.
    """
    response.headers["Cache-Control"] = "no-store"
    return summarize(context)
