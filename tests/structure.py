"""Prints the structure of the code: root entries, imports between packages, cycles and sizes.

    python -m tests.structure [FOLDER]

FOLDER is another checkout of the project to measure. Without it, the script measures this one.
"""

from __future__ import annotations

import ast
import io
import statistics
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

NOT_PRODUCT = {"tests", "benchmarks", "simulation"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_modules(root: Path) -> dict[str, Path]:
    """Return the file of each module at the root and in the packages, without tests."""
    packages = [init.parent for init in root.glob("*/__init__.py")]
    packages = [package for package in packages if package.name not in NOT_PRODUCT]
    files = [*root.glob("*.py"), *(file for package in packages for file in package.rglob("*.py"))]
    return {_module_name(file.relative_to(root)): file for file in sorted(files)}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports, also inside functions, and also foreign ones."""
    return set(_imported_names(path, modules))


def _imported_names(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else str(node.module) for name in names)


def import_graph(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Return, for each module, the project's modules that it imports."""
    return {name: find_imports(path, modules) & modules.keys() for name, path in modules.items()}


def root_entries(root: Path) -> list[str]:
    """Return the names of the tracked files and folders at the root, as of the last commit."""
    command = ["git", "ls-tree", "--name-only", "HEAD"]
    return subprocess.check_output(command, cwd=root, text=True).splitlines()


def top_level(module: str) -> str:
    """Return the top-level package or the root module that a module belongs to."""
    return module.partition(".")[0]


def find_cycles(graph: dict[str, set[str]]) -> set[str]:
    """Return the modules that take part in an import cycle, or lie between two cycles."""
    rest = {name: imported - {name} for name, imported in graph.items()}
    while True:
        imported = set().union(*rest.values())
        ends = {name for name in rest if name not in imported or not rest[name] & rest.keys()}
        if not ends:
            return set(rest)
        rest = {name: rest[name] - ends for name in rest.keys() - ends}


def count_arrows(graph: dict[str, set[str]]) -> Counter[tuple[str, str]]:
    """Return how many imports go from one top-level package or module to another."""
    pairs = ((top_level(a), top_level(b)) for a, imported in graph.items() for b in imported)
    return Counter((a, b) for a, b in pairs if a != b)


def body_lines(function: Function) -> int:
    """Return the number of lines of a function after its docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


def count_comments(source: str) -> int:
    """Return the number of `#` comments in a source."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def _print_root(root: Path) -> None:
    entries = root_entries(root)
    python = sum(entry.endswith(".py") for entry in entries)
    print(f"tracked entries at the root    {len(entries)}, of which Python files {python}")


def _print_imports(graph: dict[str, set[str]]) -> None:
    arrows = count_arrows(graph)
    tops = {top_level(name) for name in graph}
    print(f"import arrows                  {len(arrows)} between {len(tops)} packages and modules")
    print(f"modules in import cycles       {', '.join(sorted(find_cycles(graph))) or 'none'}")
    packages = sorted({top_level(name) for name in graph if "." in name})
    columns = ["root files", *packages]
    imports: Counter[tuple[str, str]] = Counter()
    for (source, target), number in arrows.items():
        pair = [name if name in packages else "root files" for name in (source, target)]
        imports[pair[0], pair[1]] += number
    print("\nimports from (row) to (column)\n" + " " * 12 + "".join(f"{c:>12}" for c in columns))
    for row in columns:
        print(f"{row:12}" + "".join(f"{imports[row, column] or '-':>12}" for column in columns))


def _print_sizes(modules: dict[str, Path]) -> None:
    sources = [path.read_text(encoding="utf-8") for path in modules.values()]
    lines = [len(source.splitlines()) for source in sources]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    bodies = sorted(body_lines(node) for node in nodes if isinstance(node, Function))
    comments = 100 * sum(map(count_comments, sources)) / sum(lines)
    p90 = bodies[len(bodies) * 9 // 10]
    median = statistics.median
    print(f"\nfiles / lines                  {len(lines)} / {sum(lines)}")
    print(f"lines a file, median / max     {median(lines):.0f} / {max(lines)}")
    print(f"body, median / p90 / max       {median(bodies):.0f} / {p90} / {bodies[-1]} lines")
    print(f"comments per 100 lines         {comments:.1f}")


def main() -> None:
    """Print the structure of the folder that the command line names."""
    root = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parents[1]).resolve()
    modules = find_modules(root)
    _print_root(root)
    _print_imports(import_graph(modules))
    _print_sizes(modules)


if __name__ == "__main__":
    main()
