"""Tell where a Mermaid diagram does not parse, by rules: no node is needed.

Judged are the kind of the diagram, brackets and arrows of flowcharts, messages of sequence diagrams, and blocks that
are not ended. What else the notations hold is left alone.
"""

import re

from expand.markdown.blocks import bare_rows

_KIND = re.compile(
    r"(graph|flowchart|sequenceDiagram|classDiagram|stateDiagram|erDiagram|gantt|pie|journey|gitGraph|mindmap|timeline|"
    r"quadrantChart|requirementDiagram|C4\w+|sankey|xychart|block|packet|kanban|architecture|zenuml|radar|treemap|info)"
    r"(?:-v2|-beta|-elk)?(?![\w-])[ \t:;]*(.*)"
)
_DIRECTION = re.compile(r"(?:TB|TD|BT|RL|LR|[<>^v])?\s*(?:;.*)?")
_QUOTED = re.compile(r"\"[^\"]*\"|`[^`]*`")
_EDGE = re.compile(r"(?:--+>|==+>|-\.+->|---+|\s--\s)\s*$")
_MESSAGE = re.compile(r"^[^:]*?\S\s*(?:<<)?--?(?:>>|>|\)|x)\s*[+-]?\s*\S")
_NO_MESSAGE = re.compile(
    r"(?i)(?:participant|actor|note|(?:de)?activate|title|links?|create|destroy|and|else|option)\b"
)
_OPENS = {
    "flowchart": re.compile(r"subgraph\b"),
    "sequenceDiagram": re.compile(r"(?:loop|alt|opt|par|critical|break|rect|box)\b"),
}
_PAIRS = {")": "(", "]": "[", "}": "{"}


def broken(code: str) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake and what it is; None where there is none."""
    kind, depth, opened = "", 0, 0
    front = False
    for number, row in enumerate(bare_rows(code)):
        text = row.strip()
        if text == "---" and not kind:
            front = not front
        if front or not text or text == "---" or text.startswith("%%"):
            continue
        if not kind:
            named = _KIND.match(text)
            if named is None:
                return number, "this is no kind of diagram"
            kind = "flowchart" if named[1] == "graph" else named[1]
            if kind == "flowchart" and not _DIRECTION.fullmatch(named[2]):
                return number, "this is no direction"
            continue
        opens = _OPENS.get(kind)
        if opens is not None and (opens.match(text) or text == "end"):
            depth += -1 if text == "end" else 1
            opened = number if depth == 1 and text != "end" else opened
            if depth < 0:
                return number, "end ends nothing"
        elif wrong := _in_row(kind, text):
            return number, wrong
        elif kind in ("classDiagram", "stateDiagram", "erDiagram"):
            plain = _QUOTED.sub("", text).partition(":")[0]
            relations = re.sub(r"[|}o]{1,2}(?:--|\.\.)[|{o]{1,2}", "", plain)
            depth += relations.count("{") - relations.count("}")
            opened = number if relations.count("{") else opened
    if not kind:
        return 0, "there is no diagram"
    return (opened, "this block is not ended") if depth > 0 else None


def _in_row(kind: str, text: str) -> str:
    """What is wrong with a line of a flowchart or a sequence diagram, "" for nothing."""
    plain = _QUOTED.sub("q", text).rstrip(";")
    if kind == "sequenceDiagram":
        is_message = _MESSAGE.match(plain) and not _NO_MESSAGE.match(plain)
        return "the message has no colon and text" if is_message and ":" not in plain else ""
    if kind != "flowchart" or re.match(
        r"(?:style|classDef|class|click|linkStyle|direction|accTitle|accDescr)\b", plain
    ):
        return ""
    if _EDGE.search(plain) or re.match(r"(?:--+>|==+>)", plain):
        return "an arrow leads nowhere"
    stack: list[str] = []
    for mark in re.findall(r"[()\[\]{}]", re.sub(r"\|[^|]*\||\w>[^\]]*\]", " ", plain)):
        if mark not in _PAIRS:
            stack.append(mark)
        elif not stack or stack.pop() != _PAIRS[mark]:
            return f"{mark} closes nothing"
    return f"{stack[-1]} is not closed" if stack else ""
