"""What several pages share: header line, table, chart, widgets, preferences."""
