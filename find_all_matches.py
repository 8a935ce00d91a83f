"""List the coins that share a symbol: rank, id, name and status of each."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import json

from coin_registry import CoinRegistry, find_matches
from safe_zone import load_settings
from sentinel import console
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script


def main() -> int:
    """Print a table for each symbol; return 0, or 2 if no coin has one of the symbols."""
    parser = make_parser(
        "find_all_matches.py", __doc__, "example: python find_all_matches.py usdt pepe"
    )
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL", help="a symbol, in any case")
    parser.add_argument("--json", action="store_true", help="print one JSON object by symbol")
    arguments = parser.parse_args()
    registry = _load_registry()
    matches = {symbol: find_matches(registry, symbol) for symbol in arguments.symbols}
    if arguments.json:
        print(json.dumps({s: [json.loads(c.to_json()) for c in m] for s, m in matches.items()}))
    else:
        for symbol, coins in matches.items():
            cells = [(c.rank or "unranked", c.id, c.name, c.status) for c in coins]
            console.show_table(
                f"{symbol}: {len(coins)} coins", ("rank", "id", "name", "status"), cells
            )
    unknown = [symbol for symbol, coins in matches.items() if not coins]
    if unknown:
        raise ConfigurationError(f"No coin has the symbol {', '.join(map(repr, unknown))}.")
    return EXIT_OK


def _load_registry() -> CoinRegistry:
    path = load_settings().registry_path
    try:
        registry = CoinRegistry.load(path)
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is damaged ({error}). Run python ingest.py: it rebuilds it."
        ) from error
    if not registry.coins:
        raise ConfigurationError(f"{path} is empty. Run python ingest.py: the first run fills it.")
    return registry


if __name__ == "__main__":
    run_as_script(main)
