"""``expand mcp``: the tool as an MCP server, for assistants and editors."""

import asyncio
from importlib.util import find_spec
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.output import note
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.workspace import Workspace


def mcp(
    opened: Workspace,
    budget: Annotated[
        int | None, typer.Option("--budget", metavar="TOKENS", min=0, help="Let it draft, for so many tokens at most.")
    ] = None,
    unpriced: options.Unpriced = False,
    *,
    author: options.Author,
) -> None:
    """Serve an assistant on stdin and stdout (MCP).

    It can check outlines, show prompts, dry runs and the status, review drafts and compare them with their documents.
    With --budget it can also have sections drafted; the budget is for as long as the server runs. It cannot accept."""
    if find_spec("mcp") is None:
        raise InputError("the extra mcp is not installed", remedy="run `pip install 'chapter-expand[mcp]'`")
    from expand.cli.mcp_server import serve

    allowed = f"it may draft for {budget:,} tokens" if budget is not None else "without --budget it cannot draft"
    note(f"an MCP server for {opened.root}, on stdin and stdout; {allowed}")
    asyncio.run(serve(opened, RunOptions(**author._asdict(), unpriced=unpriced), budget))
