"""``expand prompt show``: what would be sent, word for word."""

from __future__ import annotations

from typing import Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    print_json,
    workspace_of,
)


def show(
    context: typer.Context,
    chapter: Annotated[str, typer.Argument(metavar="ID", help="The chapter.", autocompletion=complete_chapter)],
    section: Annotated[int, typer.Option("--section", metavar="N", help="The section.")] = 1,
    plan: Annotated[str, typer.Option("--plan", help="full or lean.")] = "full",
    language: LanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the exact messages of a section's first request, with token counts; sends nothing."""
    from expand.drafting.dry_run import first_order  # start-up time
    from expand.drafting.run_options import RunOptions

    place = workspace_of(context, workspace)
    options = RunOptions.of(
        place, chapter, sections=[section], plan=plan, language=language, model=model, base_url=base_url
    )
    order, exact, counts = first_order(place, options.settings(place), options)
    request = order.request
    if as_json:
        print_json(
            {
                "model": request.model,
                "messages": [
                    {"role": m.role, "content": m.content, "tokens": count}
                    for m, count in zip(request.messages, counts, strict=True)
                ],
                "parameters": dict(request.parameters),
                "prompt_tokens": order.prompt_estimate,
                "prompt_tokens_exact": exact,
                "prompt_bound": order.prompt_tokens,
                "output_cap": request.max_output_tokens,
                "reserved_tokens": order.amount.tokens,
                "request_key": request.key,
            }
        )
        return
    prefix = counts[0]
    notes = (" that all requests of the chapter begin with", "")
    for message, count, note in zip(request.messages, counts, notes, strict=True):
        typer.echo(f"--- {message.role} ({count:,} tokens{note})")
        typer.echo(message.content)
    how = "exact" if exact else "estimated"
    typer.echo(
        f"--- {request.model}: {order.prompt_estimate:,} prompt tokens ({how}, at most "
        f"{order.prompt_tokens:,}; {prefix / sum(counts):.0%} of them a cache can serve), "
        f"output cap {request.max_output_tokens:,}, {order.amount.tokens:,} tokens reserved"
    )
