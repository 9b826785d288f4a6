"""Runs the Python blocks of one Markdown file, in their order, as one program.

    python run_blocks.py README.md

Mail stays here: a `Config` that names no mode gets mode="capture", and a connection to any
other machine is refused. A block that begins with "```python no-run" is compiled only, and so is
one that begins with "```python pytest": that is a test file of its own (see test_code_blocks.py).
"""

from __future__ import annotations

import ast
import ipaddress
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<language>\w+)(?P<words>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, the words after it, and where its text begins."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def blocks_of(markdown: str) -> list[Block]:
    """Every fenced block that names its language."""
    return [
        Block(
            language=found["language"],
            words=tuple(found["words"].split()),
            text=found["text"],
            line=markdown.count("\n", 0, found.start("text")),
        )
        for found in _BLOCK.finditer(markdown)
    ]


def run_blocks(path: Path) -> None:
    """Runs them; what a block raises points at its line in the file."""
    sys.addaudithook(_keep_it_here)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(path.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        tree = _Captured().visit(ast.parse("\n" * block.line + block.text, str(path)))
        code = compile(ast.fix_missing_locations(tree), str(path), "exec")
        if not {"no-run", "pytest"} & {*block.words}:
            exec(code, names)


class _Captured(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if named == "Config" and not any(keyword.arg == "mode" for keyword in node.keywords):
            node.keywords.append(ast.keyword("mode", ast.Constant("capture")))
        return node


def _keep_it_here(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and not ipaddress.ip_address(address[0]).is_loopback:
        raise RuntimeError(f"a block of the documentation wants to reach {address}")


if __name__ == "__main__":
    run_blocks(Path(sys.argv[1]))
