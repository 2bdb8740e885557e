"""``expand serve``: a live page of the book, for the person at this machine."""

import asyncio
import threading
import webbrowser
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.run_command import note_author, stop_on_signals
from expand.drafting.model_setup import other_roles
from expand.drafting.run_options import RunOptions
from expand.live_page import LiveBook, PageServer
from expand.workspace import Workspace


def serve(
    place: Workspace,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="By default any that is free.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    language: options.Language = None,
    *,
    buying: options.Buying,
) -> None:
    """Show the book on a live page: run, watch, decide on each section."""
    given = RunOptions(language=language or place.book().language, **buying._asdict())
    settings = given.settings(place)
    note_author(settings, *other_roles(place, settings, given))
    asyncio.run(_serve(place, given, port, open_page=open_page))
    raise typer.Exit(130)


async def _serve(workspace: Workspace, given: RunOptions, port: int, *, open_page: bool) -> None:
    book = LiveBook(workspace, given)
    server = PageServer(book, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop_on_signals(lambda _: book.stop())
    typer.echo(server.url)
    if open_page:
        webbrowser.open(server.url)
    await book.finished()
    server.shutdown()
