"""Check for what stands where text should be: refusals, error messages, and placeholders.

A refusal or an error message is a whole paragraph; a placeholder is a comment in code, a line of
HTML or a phrase in prose that stands for something left out ("rest omitted", TODO).
"""

from __future__ import annotations

import re

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks

COMMENT_CHARACTERS = 400
"""How much of a comment is looked at: a longer line is data, and slow to search."""
ERROR_CHARACTERS = 200
"""A longer paragraph tells of an error message and is none."""

_UNABLE = r"(?:can(?:no|['’])t|am\s+(?:not\s+able|unable)|won['’]t|could\s?n['’]t|must\s+decline)"
_REFUSAL = re.compile(
    rf"""(?xi)^[\s"'“*_>]*(?:
      (?:i['’]?m|i\s+am|we['’]?re)?\s*(?:really\s+|so\s+|very\s+)?sorry\b[,.]?\s*(?:but\s+)?
        (?:as\s+an\s+ai\b|i\s+{_UNABLE}).*
    | i\s*(?:apologi[sz]e|['’]m\s+sorry|\s+am\s+sorry)\b.{{0,80}}
        \b(?:but|confusion|cannot|can['’]t|unable)\b.*
    | (?:(?:as|since|because)\s+)?(?:i['’]?m\s+|i\s+am\s+)?(?:just\s+)?an?\s+
        (?:ai|artificial\s+intelligence|large\s+language)
        (?:\s+(?:language\s+)?(?:model|assistant))\s*,\s*(?:i\b|so\b|and\b|my\b).*
    | as\s+an\s+ai\s*,\s*i\b.*
    | (?:unfortunately[,\s]+)?i\s*{_UNABLE}\s+(?:to\s+|be\s+able\s+to\s+)?
        (?:help|assist|fulfil+|comply|provide|generate|write|create|continue|complete|answer
        |do\s+that|engage)\b.*
    | (?:非常|很|十分)?(?:抱歉|对不起|不好意思)[，,、]?.{{0,16}}
        (?:无法|不能|没办法|没有能力|不便).*
    | 作为(?:一(?:个|名|款))?\s*(?:AI|人工智能|大?语言模型|大模型).{{0,10}}[，,].*我.*
    | 我(?:无法|不能)(?:提供|完成|满足|回答|协助|继续|生成|写).{{0,40}}
    )""",
    re.DOTALL,
)
_ERROR = re.compile(
    r"""(?xi)^[\s*_`>\[(]*(?:
      max(?:imum)?\s+(?:tries|retries|attempts)\b.{0,40}
    | .{0,30}\b(?:content|section|scene|text|chapter)(?:\s+\d+)?(?:\s+content)?\s+(?:is\s+)?
        (?:un|not\s+)(?:available|avail).{0,20}
    | (?:api\s+|http\s+|server\s+)?error(?:\s+code)?\s*[:：]?\s*\d{3}\b.{0,120}
    | (?:error\s*[:：]\s*)?(?:rate\s+limit|quota)\s+(?:exceeded|reached).{0,80}
    | (?:error\s*[:：]\s*)?you\s+exceeded\s+your\s+current\s+quota.{0,120}
    | (?:\d{3}\s+)?(?:internal\s+server\s+error|bad\s+gateway|service\s+unavailable
        |gateway\s+time-?out|too\s+many\s+requests)\W*
    | (?:request|connection|read)\s+timed\s+out.{0,40}
    | (?:failed\s+to\s+(?:generate|get|fetch)|unable\s+to\s+generate|could\s+not\s+generate)\b
        .{0,20}\b(?:content|response|text|section|chapter|completion)\b.{0,40}
    | (?:generation|request|completion)\s+failed\W{0,3}.{0,40}
    | \{\s*"error"\s*:.*
    | traceback\s+\(most\s+recent\s+call\s+last\).*
    | (?:null|undefined|nan|\[?object\s+object\]?)\W*
    | (?:请求|生成|调用)(?:失败|超时|出错)\W?.{0,20}
    | (?:内容|章节)(?:不可用|生成失败|获取失败)\W*
    | 服务器(?:内部)?错误\W*
    )$""",
    re.DOTALL,
)
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


def placeholders(text: str, *, section: int) -> list[Finding]:
    """Comments in code and passages in prose that stand for something which is not there."""
    found = []
    for block in blocks.fences(text):
        for number, row in enumerate(block.code.splitlines()):
            if _is_placeholder_comment(row) or _CALLS.match(row):
                found.append((block.start + number + 2, "a comment", row))
    for block in blocks.blocks(text):
        for number, row in enumerate(block.text.splitlines() if block.kind == "html" else ()):
            if _IN_PROSE.search(row) or _is_placeholder_comment(row):
                found.append((block.start + number + 1, "a line of HTML", row))
    for paragraph in blocks.paragraphs(text):
        if _IN_PROSE.search(paragraph.prose):
            found.append((paragraph.line + 1, "a passage", paragraph.text))
    return [
        finding("placeholder", section, line, f"{what} stands for something left out: {excerpt(row)}")
        for line, what, row in found
    ]


def _is_placeholder_comment(row: str) -> bool:
    comment = _COMMENT.search(row)
    return bool(comment and _IN_CODE.search(comment["said"][:COMMENT_CHARACTERS]))


def refusals(text: str, *, section: int) -> list[Finding]:
    """Paragraphs by which a model refuses or a program reports; quotes of code are none."""
    found = []
    for paragraph in blocks.paragraphs(text):
        prose = paragraph.prose.strip()
        if _REFUSAL.match(prose):
            kind, what = "refusal", "a model refuses or apologises instead of writing"
        elif len(prose) <= ERROR_CHARACTERS and prose == paragraph.text.strip() and _ERROR.match(prose):
            kind, what = "error-text", "an error message stands where text should be"
        else:
            continue
        found.append(finding(kind, section, paragraph.line + 1, f"{what}: {excerpt(paragraph.text)}"))
    return found
