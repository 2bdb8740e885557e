"""Every command of the tool: where its function is, its one-line help, and examples that can be typed as they are.

``lazy_commands`` makes the command line of this table. A command's module is imported when the command is typed or its
help is asked for; ``expand --help`` and the completion of a command's name read the table alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TASKS = """\
\b
By task:
  begin      expand init, expand doctor, expand outline import
  plan       expand plan, expand chapter 03 --dry-run, expand prompt show
  write      expand chapter 03, expand chapter --all, expand worker
  improve    expand review 03, expand revise 03 --section 2 --note TEXT
  finish     expand accept 03, expand accept 03 --undo
  report     expand status, expand budget, expand report
  audit      expand ledger verify, expand ledger reconcile"""


class Command(NamedTuple):
    """A command, before its module is imported."""

    function: str
    """``module:function``; the module is one of ``expand.cli``."""
    summary: str
    """The first paragraph of the function's docstring."""
    examples: tuple[tuple[str, str], ...]
    """Command lines, and what each does."""

    def epilog(self) -> str:
        """The examples laid out for the end of the command's help; typer does not rewrap them."""
        width = max((len(line) for line, meaning in self.examples if meaning), default=0)
        lines = [f"  {line:{width}}  {meaning}".rstrip() for line, meaning in self.examples]
        return "\n".join(["\b", "Examples:", *lines])


GROUPS: Mapping[str, str] = {
    "ledger": "Verify, export, import and reconcile the ledger.",
    "outline": "Check outlines, print their JSON Schema, import them from documents.",
    "prompt": "Show what would be sent; list, copy and compare templates.",
}

COMMANDS: Mapping[str, Command] = {
    "chapter": Command(
        "chapter:chapter",
        "Expand chapters into drafts; what is already bought and still current is reused.",
        (
            ("expand chapter 03 --dry-run", "what it would take; nothing is sent"),
            ("expand chapter 03 04 --budget 200000", "both, for at most so many tokens"),
            ("expand chapter 03 --section 2 --fresh", "one section anew"),
            ("expand chapter --all --language zh --json", "all of them, for a script"),
            ("expand chapter 03 --verbose", "with every attempt, and a log"),
        ),
    ),
    "budget": Command(
        "reports:budget",
        "Show what is used, reserved and remaining, and what the rest is estimated to take.",
        (
            ("expand budget", "used, reserved, remaining, and what the rest takes"),
            ("expand budget --format csv -o budget.csv", "for a spreadsheet"),
        ),
    ),
    "plan": Command(
        "reports:plan",
        "Show the plans side by side: lines, tokens, cost, hours, completion, and what fits.",
        (
            ("expand plan", "the whole book, the plans side by side"),
            ("expand plan 03 04 --model gpt-4.1", "two chapters, at that model's price"),
        ),
    ),
    "status": Command(
        "reports:status",
        "Show lines against targets, resources, plans, the forecast by tier and what is to be done.",
        (
            ("expand status", "lines against targets, and what is to be done"),
            ("expand status --format html -o status.html", "a page to pass on"),
            ("expand status --update README.md", "renews the table between its markers"),
        ),
    ),
    "report": Command(
        "reports:report",
        "Write the completion report of the whole book: Markdown, HTML, JSON and CSV.",
        (("expand report -o reports", "all formats at once"),),
    ),
    "review": Command(
        "review:review",
        "Check drafts against their outlines; exit 5 when one misses its contract.",
        (
            ("expand review 03", "sections and findings"),
            ("expand review 03 04 --format markdown -o review.md", "into a file"),
        ),
    ),
    "revise": Command(
        "review:revise",
        "Redraw one section with an instruction.",
        (('expand revise 03 --section 2 --note "Shorter; name the versions"', ""),),
    ),
    "accept": Command(
        "review:accept",
        "Put a reviewed draft in the place of its source, in one step; --undo takes it back.",
        (
            ("expand accept 03", "the draft takes the place of its source"),
            ("expand accept 03 --undo", "the former source is back"),
        ),
    ),
    "worker": Command(
        "worker:worker",
        "Take sections that `expand chapter --queue` put on the queue, and buy them.",
        (
            ("expand worker --concurrency 8", "takes what `expand chapter --queue` put up"),
            ("expand worker --until-empty --json", "until all is done, for a script"),
            ("expand worker --status", "who works at what"),
        ),
    ),
    "init": Command(
        "init:init",
        "Make a workspace: in an empty folder, or around an mdBook, MkDocs or Markdown tree.",
        (
            ("expand init", "here"),
            ('expand init my-book --title "Pipes"', "in a folder of its own"),
        ),
    ),
    "doctor": Command(
        "doctor:doctor",
        "Look at key, endpoint, model, price, tokenizer, ledger, disk and terminal; name remedies.",
        (
            ("expand doctor", "sends nothing"),
            ("expand doctor --live --json", "with one small request, for a script"),
        ),
    ),
    "ledger verify": Command(
        "ledger:verify",
        "Derive every total, request key and answer hash anew; exit 2 when something is wrong.",
        (("expand ledger verify", "exit 2 when a figure does not add up"),),
    ),
    "ledger export": Command(
        "ledger:export",
        "Write the ledger as JSON lines, one record a line.",
        (
            ("expand ledger export -o ledger.jsonl", "everything"),
            ("expand ledger export --no-texts", "figures only, to stdout"),
        ),
    ),
    "ledger import": Command(
        "ledger:import_",
        "Fill a new ledger from JSON lines, all of them or nothing.",
        (("expand ledger import ledger.jsonl", "into a new ledger"),),
    ),
    "ledger reconcile": Command(
        "ledger:reconcile",
        "Settle attempts of unknown outcome; without arguments, list them.",
        (
            ("expand ledger reconcile", "lists the unknown outcomes"),
            ("expand ledger reconcile 3f2a --as used=1200", "what the provider billed"),
            ("expand ledger reconcile --usage export.csv --complete", "from its usage export"),
        ),
    ),
    "outline check": Command(
        "outline:check",
        "Read the book and its outlines; name every mistake by file, line and column.",
        (
            ("expand outline check", "the book and all its outlines"),
            ("expand outline check 03 --format github", "as notes in a pull request"),
        ),
    ),
    "outline schema": Command(
        "outline:schema",
        "Print the JSON Schema of an outline, for editors.",
        (("expand outline schema --book", "of outlines/book.yaml, for an editor"),),
    ),
    "outline import": Command(
        "outline_import:import_",
        "Make outlines from a plan, from mdBook's SUMMARY.md, or from a document's headings.",
        (
            ("expand outline import plan.md --dry-run", "looks; writes nothing"),
            ("expand outline import plan.md --chapter 03", "one chapter of a plan"),
            ('expand outline import --suggest "Pipes" --lines 1000', "the author model proposes"),
        ),
    ),
    "prompt show": Command(
        "prompt:show",
        "Print the exact messages of a section's first request, with token counts; sends nothing.",
        (("expand prompt show 03 --section 2", "word for word, with its tokens"),),
    ),
    "prompt list": Command(
        "prompt:list_",
        "List the templates: whose each is, and what it is for; or which count for a chapter.",
        (("expand prompt list --chapter 03", "which files count for it"),),
    ),
    "prompt diff": Command(
        "prompt:diff",
        "Show how this workspace's templates differ from those whose place they take.",
        (("expand prompt diff section", "your section template beside the shipped"),),
    ),
    "prompt eject": Command(
        "prompt:eject",
        "Copy templates into prompts/, whole or one block of them, to change them there.",
        (
            ("expand prompt eject section --block length", "one block, to change it"),
            ("expand prompt eject --style notes --like tutorial", "a house style of your own"),
        ),
    ),
    "prompt context": Command(
        "prompt:context_",
        "Say what a template may use, with examples; without one, the whole page.",
        (("expand prompt context section", "what a section's template may use"),),
    ),
}
