"""Check for what a model or a program says instead of text: refusals, error messages, chat, thinking, leaked prompts.

All is judged by whole passages or sentences outside of code and quotations: a book about language models quotes such
words. Where a sentence could be a book's own ("I cannot write this in C"), it has to speak of the text or of the model.
"""

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, matching, sanitize, thinking
from expand.markdown.blocks import Paragraph

ERROR_CHARACTERS = 200
"""A longer paragraph tells of an error message and is none."""

_UNABLE = (
    r"(?:can(?:no|['’])t|(?:am|['’]m)\s+(?:not\s+able|unable)|won['’]t|could\s?n['’]t|must\s+decline|"
    r"do\s+not\s+have\s+the\s+ability)"
)
_MODEL = r"(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model)(?:\s+(?:language\s+)?(?:model|assistant))?"
_DO = r"(?:help|assist|fulfil+|comply|provide|generate|write|create|continue|complete|answer|do|engage|produce)"
_WANTED = r"(?:sections?|chapter|text|content|request|topic|part|passage|task|prompt|that(?=\W*$)|this(?=\W*$)|you)"
_MODEL_ZH = r"(?:一[个名款位])?\s*(?:AI|人工智能|大?语言模型|大模型)(?:助手|(?:语言)?模型)?"
_UNABLE_ZH = "(?:无法|不能|没办法|没法|没有能力|不便)"
_SELF = rf"""
      (?:as|since|because)\s+(?:i['’]?m\s+|i\s+am\s+)?(?:just\s+)?(?:an?\s+)?{_MODEL}\s*,\s*(?:i|so|and|my)\b.*
    | i(?:['’]?m|\s+am)\s+(?:just\s+|only\s+)?an?\s+{_MODEL}\b.*
    | (?:my|as\s+of\s+my)\s+(?:last\s+)?(?:knowledge|training)(?:\s+(?:data|cut-?off|update))?\b.*
    | as\s+of\s+my\s+last\s+(?:update|training)\b.*
    | 作为{_MODEL_ZH}.{{0,10}}[，,].{{0,8}}(?:我|没有|无法|不能).* | (?:由于|因为)?我(?:只)?是{_MODEL_ZH}.*
    | (?:截至)?我的(?:知识|训练数据).{{0,6}}(?:截止|截至|更新).*
"""
_REFUSAL = re.compile(
    rf"""(?xi)^[\s"'“*_>]*(?:{_SELF}
    | (?:(?:i['’]?m|i\s+am|we['’]?re)?\s*(?:really\s+|so\s+|very\s+|deeply\s+)?(?:sorry|afraid)|apologies|regrettably
        |unfortunately)\b[,.]?\s*(?:that\s+)?(?:but\s+)?
        (?:as\s+an\s+ai\b
          |i\s*{_UNABLE}\s+(?:to\s+|be\s+able\s+to\s+)?{_DO}\b).*
    | i\s+apologi[sz]e\b.{{0,80}}\b(?:but|confusion|cannot|can['’]t|unable)\b.*
    | i\s*{_UNABLE}\s+(?:to\s+|be\s+able\s+to\s+)?
        {_DO}\b.{{0,40}}\b{_WANTED}\b.*
    | i\s+(?:do\s+not|don['’]t|have\s+no)\s+(?:have\s+)?
        (?:access\s+to\s+(?:your|the\s+internet|real|external|files|tools)
        |enough\s+(?:information|context)\s+to\s+(?:write|complete|continue)).*
    | i\s*{_UNABLE}\s+(?:browse|access)\s+the\s+(?:internet|web)\b.*
    | it\s+is\s+against\s+my\s+(?:guidelines|policy|programming)\b.*
    | (?:非常|很|十分)?(?:抱歉|对不起|不好意思)[，,、]?.{{0,12}}
        (?:我.{{0,8}}{_UNABLE_ZH}|{_UNABLE_ZH}(?:完成|提供|满足|协助|回答|继续|帮)).*
    | 我{_UNABLE_ZH}(?:完成|提供|满足|协助|回答|继续|生成|帮|写).{{0,20}}(?:节|章|内容|请求|任务|问题|文本|[您你]).*
    | 我(?:没有|缺乏|缺少)足够的?(?:信息|资料|上下文).{{0,10}}(?:写|完成|继续).*
    )""",
    re.DOTALL,
)
_OF_ITSELF = re.compile(rf"(?xi)^[\s*_]*(?:{_SELF})", re.DOTALL)
"""What a model says of itself is a refusal also in the middle of a passage."""
_ERROR = re.compile(
    r"""(?xi)^[\s*_`>\[(]*(?:
      max(?:imum)?\s+(?:tries|retries|attempts)\b(?!\s+(?:is|are)\b).{0,40}
    | .{0,30}\b(?:content|section|scene|text|chapter)(?:\s+\d+)?(?:\s+content)?\s+(?:is\s+)?
        (?:un|not\s+)(?:available|avail).{0,20}
    | (?:api\s+|http\s+|server\s+)?error(?:\s+code)?\s*[:：]\s*(?:\d{3}\b|no\s+response).{0,120}
    | (?:error\s*[:：]\s*)?(?:rate\s+limit|quota)\s+(?:exceeded|reached).{0,80}
    | (?:error\s*[:：]\s*)?you\s+exceeded\s+your\s+current\s+quota.{0,120}
    | (?:\d{3}\s+)?(?:internal\s+server\s+error|bad\s+gateway|service\s+unavailable
        |gateway\s+time-?out|too\s+many\s+requests)\W*
    | (?:request|connection|read)\s+timed\s+out.{0,40}
    | (?:failed\s+to\s+(?:generate|get|fetch)|(?:unable\s+to|could\s+not)\s+generate
        |error\s+(?:while\s+)?generating)\b.{0,20}\b(?:content|response|text|section|chapter|completion)\b.{0,40}
    | (?:an?\s+)?(?:unknown\s+)?error\s+(?:has\s+)?occurred\s+(?:while|during|when)\s+
        (?:generat|writ|process)\w+\b.{0,60}
    | (?:generation|request|completion)\s+failed(?:\W{0,3}(?:please\b|try\b|error\b|with\b).{0,40}|\W*)
    | \{\s*"error"\s*:.*
    | traceback\s+\(most\s+recent\s+call\s+last\).*
    | (?:null|none|undefined|nan|\[?object\s+object\]?)\W*
    | (?:请求|生成|调用)(?:失败|超时|出错)(?:\W+.{0,20}|\W*)
    | (?:生成|撰写|处理).{0,8}(?:时|过程中)(?:发生|出现|遇到)(?:了)?(?:错误|异常)\W*
    | 网络(?:错误|异常)[，,].{0,20}
    | (?:内容|章节)(?:不可用|生成失败|获取失败)\W*
    | 服务器(?:内部)?错误\W*
    )$""",
    re.DOTALL,
)
_OF_THE_TEXT = r"(?:section|chapter|text|draft|content|examples?|lines|words|requirements?|structure)"
_CHAT = re.compile(
    rf"""(?xi)^[\s*_>"“]*(?:
      (?:assistant|(?-i:AI)|助手|助理)\s*[:：].*
    | (?:user|human|用户)\s*[:：]\s*
        (?:please|continue|go\s+on|now|write|can\s+you|could\s+you|give\s+me|继续|请|写|帮我|扩写|再).*
    | (?:system|系统)\s*[:：]\s*(?:you\s+are|你是|您是).*
    | (?:<\|/?\w{{1,40}}\|>|\[/?INST\]|</?(?:start|end)_of_turn>).*
    | (?:thinking|thought\s+process|my\s+plan)\s*[:：]\s*\S.*
    | (?:(?:okay|ok|alright|hmm|wait|so|well|好的?|嗯)[,，.。\s]*)?(?:
        (?:the\s+)?user\s+(?:wants|asked|asks|is\s+asking|needs|requested)\b.*\b
          (?:section|chapter|\d+\s+lines|so\s+i|i\s+(?:should|need|must|will)|let\s+me)\b.*
        |用户(?:想要|要求|希望|让我|需要).{{0,40}}
          (?:一节|本节|这一节|章节|\d+\s*行|[一二三四五六七八九十百]+行|扩写|续写).*)
    | (?:we|i)\s+(?:need|have|must|should)\s+(?:to\s+)?(?:write|produce|output|generate|deliver)\b
        .{{0,30}}\b(?:\d+\s+(?:lines|words)|section|chapter)\b.*
    | let\s+me\s+(?:think|plan|outline|consider|draft|structure)\b.{{0,60}}\b{_OF_THE_TEXT}\b.*
    | (?:还)?需要我(?:再)?(?:补充|继续|修改|扩写|展开).{{0,20}}[吗么]?[？?]
    | 让我(?!们)(?:先)?(?:想想|思考|考虑|规划).{{0,12}}(?:节|章|怎么|如何|结构|组织).*
    | you\s+are\s+(?:the|an?)\s+(?:\w+\s+){{0,3}}(?:author|writer|assistant|editor|expert)\b.*
    | (?:你|您)是一?(?:位|名|个)?.{{0,16}}(?:作者|作家|助手|专家|编辑|写手).*
    | write\s+about\s+(?:this\s+topic\s+only|these\s+topics)\b.* | write\s+only\s+body\s+text\b.*
    | (?:the\s+section\s+so\s+far\s+ends\s+like\s+this|how\s+lines\s+are\s+counted|行数的算法)\s*[:：].*
    | (?:note\s*[:：]\s*)?i(?:['’]ve|\s+have)?\s+(?:kept|added|written|included|expanded|followed|used|made)\b
        .*\b(?:as|that|which)\s+you\s+(?:asked|requested|specified|wanted)\b.*
    | i\s+(?:trust|believe)\s+(?:this|it)\s+(?:meets|satisfies)\s+your\b.*
    | 我(?:已经?|将|会).{{0,6}}(?:按照?|根据)[您你]?的?要求.{{0,12}}(?:节|章|写|撰写|内容|扩写).*
    | (?:以上|上面)(?:就)?是(?:本节|本章|全部|扩写|续写).{{0,20}}(?:如需|如有|请|希望).*
    )\s*$""",
    re.DOTALL,
)
_ROLE_HEADING = re.compile(r"(?i)(?:response|instructions?|assistant|human|user|input)\s*[:：]")
_ANNOUNCES = re.compile(r"[:：]\s*$")
_OF_THE_ANSWER = re.compile(
    r"(?i)^\W*(?:sure|certainly|of\s+course|absolutely|got\s+it|understood|happy\s+to|gladly)\b|expan|continu|revis|rewrit"
    r"|request|draft|扩[写展]|续写|正文|[您你]的?(?:要求|需求|请求)|(?:撰写|编写)本节"
)
"""What an announcement in the middle of a text has to say: a book announces its code, too."""


def talk(text: str, *, section: int) -> list[Finding]:
    """Passages by which a model refuses, a program reports, or a model speaks to its user or to itself."""
    every = blocks.blocks(text)
    quoted = {line for block in every if block.kind == "quote" for line in range(block.start, block.end)}
    top = {block.start for block in every if block.kind == "paragraph"}
    shown = {block.start for block in every if block.kind in ("fence", "code", "list", "table")}
    found = [
        finding("chat", section, line, f"{removed.what} stand in the text: {excerpt(removed.text)}")
        for removed, line in _taken_off(text)
    ]
    found += [
        finding("chat", section, block.start + 1, f"a mark of a prompt stands in the text: {excerpt(block.title)}")
        for block in every
        if block.kind == "heading" and _ROLE_HEADING.fullmatch(block.title)
    ]
    taken = {one.line for one in found}
    for paragraph in blocks.paragraphs(text):
        if paragraph.line in quoted or paragraph.line + 1 in taken:
            continue
        announces = bool(_ANNOUNCES.search(paragraph.text)) and not {paragraph.end, paragraph.end + 1}.isdisjoint(shown)
        for kind, what, words in _said(paragraph, announces):
            if kind == "error-text" and paragraph.line not in top:
                continue
            found.append(finding(kind, section, paragraph.line + 1, f"{what}: {excerpt(words)}"))
            break
    return found


def _said(paragraph: Paragraph, announces: bool) -> Iterator[tuple[str, str, str]]:
    """What a passage is, as kind, words for it, and the sentence; nothing for text."""
    prose = paragraph.prose.strip()
    if len(prose) <= ERROR_CHARACTERS and prose == paragraph.text.strip() and _ERROR.match(prose):
        yield "error-text", "an error message stands where text should be", prose
    for number, sentence in enumerate(matching.sentences(prose)):
        if (_REFUSAL if number == 0 else _OF_ITSELF).match(sentence if number else prose):
            yield "refusal", "a model refuses or apologises instead of writing", sentence
        if _CHAT.match(prose if number == 0 else sentence) or sanitize.is_sign_off(sentence):
            yield "chat", "a model speaks to its user or to itself", sentence
        if number == 0 and not announces and sanitize.is_preamble(prose) and _OF_THE_ANSWER.search(prose):
            yield "chat", "a model announces its answer", sentence


def _taken_off(text: str) -> Iterator[tuple[thinking.Removed, int]]:
    """What would be taken off an answer, and the line from 1 on which it begins."""
    at = 0
    for removed in thinking.take_off(text)[1]:
        at = max(text.find(removed.text, at), 0)
        yield removed, text.count("\n", 0, at) + 1
