"""``expand prompt``: shows what would be sent; lists and copies templates."""

from pathlib import Path
from typing import Annotated

import typer

from expand.cli import options
from expand.cli.options import require_choice
from expand.cli.output import print_json, write_data
from expand.drafting.dry_run import FirstRequest, first_request
from expand.drafting.model_setup import profile_of
from expand.drafting.run_options import RunOptions, settings_of
from expand.errors import InputError
from expand.prompts import rendering
from expand.workspace import Workspace

TemplatesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TEMPLATE...]", help="Such as section, or a folder: styles/tutorial.")
]
ChapterOption = Annotated[
    str | None,
    typer.Option("--chapter", metavar="ID", help="For this chapter alone."),
]


def show(
    opened: Workspace,
    chapter: options.Chapter,
    section: Annotated[int, typer.Option("--section", metavar="N", help="The section.")] = 1,
    plan: options.Plan = "full",
    language: options.Language = None,
    *,
    author: options.Author,
    as_json: options.Json = False,
) -> None:
    """Print the messages of a section's first request; send nothing.

    The messages are printed as they would be sent, with their token counts."""
    require_choice("--plan", plan, ("full", "lean"))
    run_options = RunOptions.of(opened, chapter, sections=[section], plan=plan, language=language, **author._asdict())
    show_request(first_request(opened, run_options.settings(opened), run_options), as_json=as_json)


def show_request(found: FirstRequest, *, as_json: bool) -> None:
    """Prints a request as it would be sent, with its token counts."""
    if as_json:
        print_json(found.as_json())
        return
    order, exact, counts = found
    request, how = order.request, "exact" if exact else "estimated"
    for message, count in zip(request.messages, counts, strict=True):
        prefix = ", the same in all requests of the chapter" if message.role == "system" else ""
        typer.echo(f"--- {message.role} ({count:,} tokens{prefix})")
        write_data(f"{message.content}\n")
    cached = f"; a cache can serve {counts[0] / sum(counts):.0%} of them" if len(counts) > 1 else ""
    typer.echo(
        f"--- {request.model}: {order.prompt_estimate:,} prompt tokens ({how}, at most "
        f"{order.prompt_tokens:,}{cached}), output cap "
        f"{request.max_output_tokens:,}, {order.amount.tokens:,} tokens reserved"
    )


def list_(opened: Workspace, chapter: ChapterOption = None, model: options.Model = None) -> None:
    """List the templates and their files, or those that a chapter uses."""
    if chapter is not None:
        _list_chapter(opened, chapter, model)
        return
    files = rendering.template_files(opened)
    for name, path in files.items():
        typer.echo(f"{name:<{max(map(len, files))}}  {_shown(opened, path)}")


def _shown(workspace: Workspace, path: Path) -> str:
    inside = path.is_relative_to(workspace.prompts_folder)
    return workspace.relative(path) if inside else f"shipped/{path.relative_to(rendering.packaged_folder())}"


def _list_chapter(workspace: Workspace, chapter: str, model: str | None) -> None:
    """The templates that a chapter uses, and those that they extend or include."""
    profile = profile_of(workspace, settings_of(workspace, model=model))
    style = workspace.outline(chapter).style or workspace.book().style
    prompts = rendering.Prompts(workspace.prompts_folder, style=profile.style).of(chapter, style)
    typer.echo(f"chapter {chapter}, style {style.name if style else rendering.PLAIN}, model {profile.name}")
    for name in rendering.DRAFTING_TEMPLATES:
        file, *taken = (_shown(workspace, path) for path in prompts.sources(name))
        takes = f", takes {', '.join(taken)}" if taken else ""
        typer.echo(f"{name:<11}  {file}{takes}")


def eject(
    opened: Workspace,
    templates: TemplatesArgument = None,
    block: Annotated[
        str | None, typer.Option("--block", metavar="NAME", help="Only this block; the rest stays as it is.")
    ] = None,
    chapter: ChapterOption = None,
) -> None:
    """Copy templates, or one block, into prompts/ to change them."""
    if not templates and (block is not None or chapter is not None):
        raise InputError("--block and --chapter need a template", remedy="name the templates to copy")
    names = rendering.select_templates(rendering.template_files(opened), templates or ())
    copies = rendering.eject_templates(opened, names, chapter=chapter, block=block)
    for name, written in copies.items():
        typer.echo(f"{'written' if written else 'kept':<7}  {name}")
