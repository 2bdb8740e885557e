"""``expand prompt``: what would be sent, word for word."""

from __future__ import annotations

from typing import Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    print_json,
    settings_of,
    workspace_of,
)

app = typer.Typer(help="Show what would be sent.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(
    context: typer.Context,
    chapter: Annotated[str, typer.Argument(metavar="ID", help="The chapter.")],
    section: Annotated[int, typer.Option("--section", metavar="N", help="The section.")] = 1,
    plan: Annotated[str, typer.Option("--plan", help="full or lean.")] = "full",
    language: LanguageOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the exact messages of a section's first request, with token counts; sends nothing."""
    from expand.cli.chapter import plan_of  # start-up time
    from expand.rehearsal import first_order

    place = workspace_of(context, workspace)
    settings = settings_of(place, model=model, base_url=base_url)
    order, exact, counts = first_order(
        place,
        settings,
        chapter=chapter,
        section=section,
        plan=plan_of(plan),
        language=language or place.book().language,
    )
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
    for message, count in zip(request.messages, counts, strict=True):
        typer.echo(f"--- {message.role} ({count:,} tokens)")
        typer.echo(message.content)
    how = "exact" if exact else "estimated"
    typer.echo(
        f"--- {request.model}: {order.prompt_estimate:,} prompt tokens ({how}, at most "
        f"{order.prompt_tokens:,}), output cap {request.max_output_tokens:,}, "
        f"{order.amount.tokens:,} tokens reserved"
    )
