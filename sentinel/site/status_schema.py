"""The JSON Schema of `status.json` (draft 2020-12), made from the model. Pure.

`python -m sentinel.site.status_schema > docs/status.schema.json` rewrites the committed copy.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from sentinel.site.status import Status

# The schema lies beside each deployment's page: a name, and no address, is the same for all.
SCHEMA_ID = "urn:market-sentinel:status:1"


class _SchemaGenerator(GenerateJsonSchema):
    """Leaves out the generated titles: they repeat the names of the fields."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Return False for every field."""
        return False


def make_schema() -> JsonSchemaValue:
    """Return the schema. It accepts unknown fields: a later version may add some."""
    schema = Status.model_json_schema(mode="serialization", schema_generator=_SchemaGenerator)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": SCHEMA_ID, **schema}


def format_schema() -> str:
    """Return the schema as the text of the published file."""
    return json.dumps(make_schema(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(format_schema())
