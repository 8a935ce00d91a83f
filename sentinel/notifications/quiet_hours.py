"""Quiet hours: between two times of the user's day, messages wait for the end. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sentinel.notifications.kinds import AdjustableKind


def _check_time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(f"{text!r:.60} is not a time of day: write one such as 08:00")
    return text


TimeOfDay = Annotated[str, AfterValidator(_check_time_of_day)]


class QuietHours(BaseModel):
    """Two times of the day, such as 23:00 and 07:00, in the user's time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    begin: Annotated[TimeOfDay, Field(alias="from")]
    end: Annotated[TimeOfDay, Field(alias="to")]
    # The kinds of messages that do not wait.
    let_through: list[AdjustableKind] = ["target", "summary"]

    @model_validator(mode="after")
    def _check_times(self) -> QuietHours:
        if self.begin == self.end:
            raise ValueError(f"from and to are both {self.begin}: all day would be quiet")
        return self

    def find_end(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the quiet hours end that hold at a time; None outside them.

        The times are those of the clock on the wall, so a night with a change to or from summer
        time is an hour shorter or longer.
        """
        today = now.astimezone(zone).date()
        for day in (today, today - timedelta(days=1)):
            last_day = day if self.begin < self.end else day + timedelta(days=1)
            begin = datetime.combine(day, time.fromisoformat(self.begin), zone).astimezone(UTC)
            end = datetime.combine(last_day, time.fromisoformat(self.end), zone).astimezone(UTC)
            if begin <= now < end:
                return end
        return None
