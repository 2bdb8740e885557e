"""``expand prompt``: what would be sent, word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from expand.cli.common import (
    BaseUrlOption,
    LanguageOption,
    ModelOption,
    WorkspaceOption,
    complete_chapter,
    print_json,
    settings_of,
    workspace_of,
)

if TYPE_CHECKING:
    from expand.starting.prompt_files import TemplateFile

app = typer.Typer(
    help="Show what would be sent; list, copy and compare templates.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
TemplatesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TEMPLATE...]", help="Such as section, or brief/section; else all."),
]


@app.command("show")
def show(
    context: typer.Context,
    chapter: Annotated[
        str, typer.Argument(metavar="ID", help="The chapter.", autocompletion=complete_chapter)
    ],
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
    from expand.drafting.rehearsal import first_order

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


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the templates: what each is for, and which of them are this workspace's own."""
    from expand.starting.prompt_files import template_files  # start-up time

    place = workspace_of(context, workspace)
    files = template_files(place)
    if as_json:
        print_json(
            {
                "templates": [
                    {
                        "name": file.name,
                        "state": file.state,
                        "path": str(file.used),
                        "purpose": _purpose(file),
                    }
                    for file in files
                ]
            }
        )
        return
    width = max(len(file.name) for file in files)
    for file in files:
        typer.echo(f"{file.name:<{width}}  {file.state:<8}  {_purpose(file)}")


@app.command("diff")
def diff(
    context: typer.Context, templates: TemplatesArgument = None, workspace: WorkspaceOption = None
) -> None:
    """Show how this workspace's templates differ from the packaged ones."""
    from expand.starting.prompt_files import chosen, difference, template_files  # start-up time

    files = chosen(template_files(workspace_of(context, workspace)), templates or ())
    for file in files:
        typer.echo(difference(file), nl=False)


@app.command("eject")
def eject(
    context: typer.Context,
    templates: TemplatesArgument = None,
    style: Annotated[
        str | None,
        typer.Option("--style", metavar="NAME", help="Copy them as a style of that name."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace templates that were changed.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Copy packaged templates into prompts/, to change them there."""
    from expand.starting.prompt_files import chosen, template_files  # start-up time
    from expand.starting.prompt_files import eject as copy

    place = workspace_of(context, workspace)
    files = chosen(template_files(place), templates or ())
    if style is not None:
        # A style of its own is made from the templates that have none.
        files = tuple(file for file in files if "/" not in file.name or templates)
    ejected = copy(place, files, style=style, force=force)
    for name in ejected.written:
        typer.echo(f"written  {name}")
    for name in ejected.kept:
        typer.echo(f"kept     {name}")
    if style is not None:
        typer.echo(f'used by models whose profile says style = "{style}", in expand.toml')


@app.command("context")
def context_(
    template: Annotated[
        str | None, typer.Argument(metavar="[TEMPLATE]", help="Such as system or section.")
    ] = None,
) -> None:
    """Say what a template may use: names, kinds and meanings; without one, the whole page."""
    from expand.model.prompt_context import context_of, reference, variables_of  # start-up time

    if template is None:
        typer.echo(reference(), nl=False)
        return
    for variable in variables_of(context_of(template)):
        default = "" if variable.default is None else f" [{variable.default}]"
        typer.echo(f"{variable.name:<17} {variable.kind:<17} {variable.meaning}{default}")


def _purpose(file: TemplateFile) -> str:
    from expand.model.prompt_context import PURPOSES  # start-up time

    style, _, name = file.name.rpartition("/")
    purpose = PURPOSES.get(name, "Included by others, if at all.")
    return f"Style {style}: {purpose}" if style else purpose
