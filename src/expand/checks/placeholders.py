"""Findings about what a text announces and does not say: omitted code, TODOs, blanks to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks, matching

_COMMENT = re.compile(r"(?:^|\s)(?://+!?|#+|--|;+|/\*+|<!--|\(\*|\"\"\"|\*)\s*(?P<said>\S.*)$")
_MARK = r"(?:TODO|FIXME)"
_REST = (
    r"(?:rest|remaining|remainder|other|existing|previous|omitted|omitting|unchanged|elided|"
    r"implementation|code|logic|same\s+as|similar|truncated|snip(?:ped)?)"
)
_TRAILING = r"(?:rest|remaining|remainder|other|existing|previous|omitted|unchanged|elided)"
_WHAT = r"(?:code|implementation|logic|body|details?|content|text|methods?|functions?|fields?|parts?)"
_DOTS = r"(?:\.{3,}|…+)"
_LEFT_OUT_ZH = (
    r"(?:此处|这里|其余|其他|其它|剩余|后续|中间|部分|具体|以下|以上|详细|相关)(?:的)?"
    r"(?:代码|内容|实现|部分|逻辑|步骤|方法|函数|字段|细节)?(?:[已均]?省略|略去|从略|同上|略(?![微高低有过大小]))"
    r"|(?:代码|实现|内容)(?:此处)?(?:已|暂)?(?:省略|从略)|[（(]\s*(?:省略|略)\s*[)）]"
    r"|省略(?:了)?(?:其余|其他|其它|剩余|部分|具体|后续|若干)|待(?:补充|完善|填写|续写|实现)"
    r"|(?:在此|此处|这里)(?:添加|填写|插入|实现|编写|写入)(?:[您你]的)?.{0,8}(?:代码|逻辑|内容|实现)"
)
_IN_CODE = re.compile(
    rf"""(?xi)
      ^\W*(?-i:{_MARK})\b(?!\s*(?:list|app|item|comment)s?\b)
    | ^{_DOTS}.*\b{_REST}\b | \b{_TRAILING}\b.*{_DOTS}\s*(?:\*/|-->)?\s*$
    | \b(?:rest|remaining|remainder|other|existing|previous)\b.{{0,60}}
        \b(?:omitted|elided|unchanged|goes\s+here|left\s+out|not\s+shown|as\s+before)\b
    | \b(?:your|add|insert|put|write)\b.{{0,30}}\b{_WHAT}\b.{{0,15}}\bhere\b
    | \b{_WHAT}\b.{{0,20}}\b(?:omitted|elided|goes\s+here|left\s+out|not\s+shown)\b
    | ^\W*(?:omitted|elided|snip(?:ped)?)\b(?:\s+for\s+(?:brevity|clarity)|\W*$)
    | \bomitted\s+for\s+(?:brevity|clarity)\b
    | {_LEFT_OUT_ZH} | ^\W*(?:省略|略)\W*$
    """
)
_CALLS = re.compile(r"^\s*(?:todo!\(|.*[\s=({]todo!\()")
_IN_PROSE = re.compile(
    rf"""(?xi)
      ^[\W_]*(?-i:TODO|FIXME|TBD)(?:\b[\s*_]*[:：(\[-]|\W*$)
    | [\[<{{]\s*(?:insert|your|add|put|fill\s+in|describe)\b[^\]>}}\n]{{0,60}}?
        (?:\bhere\b[^\]>}}]{{0,20}}|\b(?:code|content|text|example|description|section|explanation))
        \s*[\]>}}](?![(\[:])
    | [\[(]\s*(?:{_DOTS}\s*)?(?:the\s+)?(?:rest|remaining|remainder|content)\b[^\])\n]{{0,60}}
        \b(?:omitted|here|continues|truncated|unchanged)\b[^\])\n]{{0,30}}[\])]
    | \b(?:code|section|content|rest|remainder)\b[^.\n]{{0,30}}\bomitted\s+for\s+brevity\b
    | [（(\[【]\s*(?:{_LEFT_OUT_ZH})[^)）\]】\n]{{0,12}}[)）\]】]
    | ^\W*(?:此处|这里|以下|其余)(?:内容|部分|代码|实现)?(?:省略|从略|略)\W*$
    | ^[\W_]*(?:待补充|待完善|待续写|待填写)\W*$
    """
)
_SIGNS = ("[", "<", "{", "(", "（", "【", "略", "待", "TODO", "FIXME", "TBD")
"""Prose without any of them, and without "omitted", stands for nothing that was left out."""


def _is_left_out(said: str) -> bool:
    suspect = any(sign in said for sign in _SIGNS) or "omitted" in said.casefold()
    return suspect and bool(_IN_PROSE.search(said))


def _finding(section: int, line: int, said: str, where: str) -> Finding:
    return Finding(
        kind="placeholder",
        section=section,
        line=line,
        severity="warning",
        message=f"{where} stands for something left out: {excerpt(said)}",
        remedy="write what it stands for",
        mendable=True,
    )


def findings(text: str, *, section: int) -> Iterator[Finding]:
    """Comments in code and passages in prose that stand for something which is not there."""
    for block in blocks.fences(text):
        for number, row in enumerate(block.code.splitlines()):
            comment = _COMMENT.search(row)
            if (comment and _IN_CODE.search(comment["said"][:400])) or _CALLS.match(row):
                yield _finding(section, block.start + number + 2, row, "a comment")
    for block in blocks.blocks(text):
        for number, row in enumerate(block.text.splitlines() if block.kind == "html" else ()):
            comment = _COMMENT.search(row)
            if _IN_PROSE.search(row) or (comment and _IN_CODE.search(comment["said"][:400])):
                yield _finding(section, block.start + number + 1, row, "a line of HTML")
    for passage in blocks.passages(text):
        if _is_left_out(matching.prose(passage.text)):
            yield _finding(section, passage.line + 1, passage.text, "a passage")
