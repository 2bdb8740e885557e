"""What stands below each command's help: examples that can be typed as they are."""

from __future__ import annotations

from collections.abc import Mapping

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

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "chapter": (
        ("expand chapter 03 --dry-run", "what it would take; nothing is sent"),
        ("expand chapter 03 04 --budget 200000", "both, for at most so many tokens"),
        ("expand chapter 03 --section 2 --fresh", "one section anew"),
        ("expand chapter --all --language zh --json", "all of them, for a script"),
        ("expand chapter 03 --verbose", "with every attempt, and a log"),
    ),
    "worker": (
        ("expand worker --concurrency 8", "takes what `expand chapter --queue` put up"),
        ("expand worker --until-empty --json", "until all is done, for a script"),
        ("expand worker --status", "who works at what"),
    ),
    "review": (
        ("expand review 03", "sections and findings"),
        ("expand review 03 04 --format markdown -o review.md", "into a file"),
    ),
    "revise": (('expand revise 03 --section 2 --note "Shorter; name the versions"', ""),),
    "accept": (
        ("expand accept 03", "the draft takes the place of its source"),
        ("expand accept 03 --undo", "the former source is back"),
    ),
    "budget": (
        ("expand budget", "used, reserved, remaining, and what the rest takes"),
        ("expand budget --format csv -o budget.csv", "for a spreadsheet"),
    ),
    "plan": (
        ("expand plan", "the whole book, the plans side by side"),
        ("expand plan 03 04 --model gpt-4.1", "two chapters, at that model's price"),
    ),
    "status": (
        ("expand status", "lines against targets, and what is to be done"),
        ("expand status --format html -o status.html", "a page to pass on"),
        ("expand status --update README.md", "renews the table between its markers"),
    ),
    "report": (("expand report -o reports", "all formats at once"),),
    "outline check": (
        ("expand outline check", "the book and all its outlines"),
        ("expand outline check 03 --format github", "as notes in a pull request"),
    ),
    "outline schema": (("expand outline schema --book", "of outlines/book.yaml, for an editor"),),
    "outline import": (
        ("expand outline import plan.md --dry-run", "looks; writes nothing"),
        ("expand outline import plan.md --chapter 03", "one chapter of a plan"),
        ('expand outline import --suggest "Pipes" --lines 1000', "the author model proposes"),
    ),
    "prompt show": (("expand prompt show 03 --section 2", "word for word, with its tokens"),),
    "prompt list": (("expand prompt list --chapter 03", "which files count for it"),),
    "prompt diff": (("expand prompt diff section", "your section template beside the shipped"),),
    "prompt eject": (
        ("expand prompt eject section --block length", "one block, to change it"),
        ("expand prompt eject --style notes --like tutorial", "a house style of your own"),
    ),
    "prompt context": (("expand prompt context section", "what a section's template may use"),),
    "init": (
        ("expand init", "here"),
        ('expand init my-book --title "Pipes"', "in a folder of its own"),
    ),
    "doctor": (
        ("expand doctor", "sends nothing"),
        ("expand doctor --live --json", "with one small request, for a script"),
    ),
    "ledger verify": (("expand ledger verify", "exit 2 when a figure does not add up"),),
    "ledger export": (
        ("expand ledger export -o ledger.jsonl", "everything"),
        ("expand ledger export --no-texts", "figures only, to stdout"),
    ),
    "ledger import": (("expand ledger import ledger.jsonl", "into a new ledger"),),
    "ledger reconcile": (
        ("expand ledger reconcile", "lists the unknown outcomes"),
        ("expand ledger reconcile 3f2a --as used=1200", "what the provider billed"),
        ("expand ledger reconcile --usage export.csv --complete", "from its usage export"),
    ),
}


def below(command: str) -> str:
    """The examples of a command, laid out; it is not rewrapped."""
    shown = EXAMPLES[command]
    width = max((len(line) for line, about in shown if about), default=0)
    lines = [f"  {line:{width}}  {about}".rstrip() for line, about in shown]
    return "\n".join(["\b", "Examples:", *lines])
