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
  begin      expand init, expand doctor, expand trust, expand outline import
  plan       expand plan, expand brief 03, expand chapter 03 --dry-run
  write      expand chapter 03, expand chapter --all, expand worker
  improve    expand review 03, expand revise 03 --section 2 --note TEXT
  finish     expand accept 03, expand accept 03 --undo
  report     expand status, expand budget, expand report
  audit      expand ledger verify, expand ledger reconcile"""


class Command(NamedTuple):
    """A command, before its module is imported."""

    name: str
    function: str
    """``module:function``; the module is one of ``expand.cli``."""
    summary: str
    """The first paragraph of the function's docstring."""
    examples: tuple[str, ...]
    """Command lines, each with what it does after two blanks or more."""

    @property
    def epilog(self) -> str:
        """The end of the command's help; typer does not rewrap what follows the backspace."""
        return "\n".join(["\b", "Examples:", *(f"  {line}" for line in self.examples)])


GROUPS: Mapping[str, str] = {
    "ledger": "Verify, export, import and reconcile the ledger; lift pauses.",
    "outline": "Check and import outlines, print their JSON Schema.",
    "prompt": "Show what would be sent; list, copy and compare templates.",
}

# A paragraph each: the command and its function, the summary, the examples.
_TABLE = """\
chapter = chapter:chapter
Expand chapters into drafts; reuse every section that is current.
expand chapter 03 --dry-run                show what it would take; send nothing
expand chapter 03 04 --budget 200000       both, for at most 200,000 tokens
expand chapter 03 --section 2 --fresh      buy one section anew
expand chapter --all --language zh --json  every chapter, for a script
expand chapter 03 --verbose                show every attempt, and keep a log

budget = reports:budget
Show tokens used, reserved, remaining and estimated for the rest.
expand budget                             used, reserved, remaining, and an estimate for the rest
expand budget --format csv -o budget.csv  for a spreadsheet

plan = reports:plan
Compare the plans: lines, tokens, cost, hours and completion.
expand plan                        the plans for the whole book, side by side
expand plan 03 04 --model gpt-4.1  two chapters at that model's price

status = reports:status
Show lines against targets, the forecast and the to-do list.
expand status                               lines against targets, and what is left to do
expand status --format html -o status.html  a page to share
expand status --update README.md            renew the table between its markers

report = reports:report
Write the book's completion report: Markdown, HTML, JSON, CSV.
expand report -o reports  every format at once

review = review:review
Check drafts against their outlines; exit 5 if one falls short.
expand review 03                                    sections and findings
expand review 03 04 --format markdown -o review.md  into a file

brief = brief:brief
Show what a chapter's sections share, or have it written.
expand brief 03          show it, or have it written: one request
expand brief 03 --fresh  have it written anew

revise = review:revise
Redraw one section with an instruction.
expand revise 03 --section 2 --note "Shorter; name the versions"

accept = review:accept
Replace a chapter's source by its reviewed draft, or --undo that.
expand accept 03         replace the source by the draft
expand accept 03 --undo  bring the former source back

worker = worker:worker
Draft the sections that `expand chapter --queue` has queued.
expand worker --concurrency 8       take what `expand chapter --queue` queued
expand worker --until-empty --json  until the queue is empty, for a script
expand worker --status              which worker has which section

init = init:init
Make a workspace in an empty folder or around a docs tree.
expand init                          in the current folder
expand init my-book --title "Pipes"  in a new folder

trust = trust:trust
Show which hosts, keys and ledger a workspace names; trust it.
expand trust               show what this workspace names, and ask
expand trust my-book -y    without a question, for a script
expand trust --revoke      take it back

doctor = doctor:doctor
Check what is installed, reachable and priced; name remedies.
expand doctor                send nothing
expand doctor --live --json  send one small request; for a script

ledger verify = ledger:verify
Recompute every total, key and hash; exit 2 if one is wrong.
expand ledger verify  exits 2 when a figure does not add up

ledger export = ledger:export
Write the ledger as JSON lines, one record a line.
expand ledger export -o ledger.jsonl  everything
expand ledger export --no-texts       figures only, on stdout

ledger import = ledger:import_
Fill a new ledger from JSON lines, completely or not at all.
expand ledger import ledger.jsonl  into a new ledger

ledger reconcile = ledger:reconcile
Settle attempts of unknown outcome, or list them.
expand ledger reconcile                                list the unknown outcomes
expand ledger reconcile 3f2a --as used=1200            enter what the provider billed
expand ledger reconcile --usage export.csv --complete  from the provider's usage export

ledger resume = ledger:resume
List paused models, or lift the pause of one.
expand ledger resume          list the paused models, and until when
expand ledger resume gpt-4.1  call this model again

outline check = outline:check
Check settings, book and outlines; list mistakes by line.
expand outline check                     the book and all its outlines
expand outline check 03 --format github  as annotations in a pull request

outline schema = outline:schema
Print the JSON Schema of an outline, for editors.
expand outline schema --book  the schema of outlines/book.yaml

outline import = outline_import:import_
Make outlines from a plan, a SUMMARY.md or a document's headings.
expand outline import plan.md --dry-run               print the outlines; write nothing
expand outline import plan.md --chapter 03            one chapter of a plan
expand outline import --suggest "Pipes" --lines 1000  the author model proposes

prompt show = prompt:show
Print the messages of a section's first request; send nothing.
expand prompt show 03 --section 2  word for word, with token counts

prompt list = prompt:list_
List the templates and their origin, or those of a chapter.
expand prompt list --chapter 03  the files that chapter 03 uses

prompt diff = prompt:diff
Show how this workspace's templates differ from the shipped ones.
expand prompt diff section  your section template and the shipped one

prompt eject = prompt:eject
Copy templates, or one block, into prompts/ to change them.
expand prompt eject section --block length         one block, to change it
expand prompt eject --style notes --like tutorial  a house style of your own

prompt context = prompt:context_
Show the variables that a template may use, with examples.
expand prompt context section  what section.j2 may use
"""


def _read(paragraph: str) -> Command:
    first, summary, *examples = paragraph.strip().splitlines()
    name, _, function = first.partition(" = ")
    return Command(name, function, summary, tuple(examples))


COMMANDS: Mapping[str, Command] = {command.name: command for command in map(_read, _TABLE.split("\n\n"))}
