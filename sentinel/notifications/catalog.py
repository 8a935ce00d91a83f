"""The texts of all messages by language: English and Indonesian."""

from __future__ import annotations

from sentinel.notifications import catalog_en, catalog_id

CATALOG = {"en": catalog_en.TEXTS, "id": catalog_id.TEXTS}
