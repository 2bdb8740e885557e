"""Citations in a draft: ``[R3]``, as a model writes it, the footnote that the draft has in its place, and what is
checked of both.

A footnote's name has the passage's mark in it, which follows from the words that are cited. So a draft tells by itself
which of its sections cite what a reference does not say any more. Nothing in code is taken for a citation.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, matching, names
from expand.markdown.blocks import rows
from expand.references.passages import NOTE, Passage

_CITATION = re.compile(
    r"(?m)^[ \t]*\[R\d{1,4}\]:|"
    r"(?P<gap>[ \t]*)[\[【]\^?(?P<ids>R\d{1,4}(?:[ \t]*[,;，、；][ \t]*\^?R\d{1,4})*)[\]】](?!\()"
)
"""Names of passages as models write them; or a definition that looks like one, without ``ids``."""


def with_footnotes(bodies: Sequence[str], passages: Mapping[str, Passage]) -> list[str]:
    """The texts of a section with footnotes in the place of citations of ``passages``; each is defined once, below the
    first text that cites it. What cites no passage stays as it is."""
    if not passages:
        return [*bodies]
    defined = {definition.name for body in bodies for definition in names.definitions(body)}
    found = []
    for body in bodies:
        new: dict[str, Passage] = {}

        def note(cited: re.Match[str], new: dict[str, Passage] = new) -> str:
            said = "" if cited["ids"] else cited[0]
            for name in re.findall(r"R\d+", cited["ids"] or ""):
                if (passage := passages.get(name)) is not None:
                    new[f"^r-{passage.mark}"] = passage
                said += f"[^r-{passage.mark}]" if passage else f"[{name}]"
            return said if not cited["gap"] or said.startswith("[^") else cited["gap"] + said

        text = _outside_code(body, _CITATION, note)
        notes = [f"[{name}]: {_says(passage)}" for name, passage in new.items() if name not in defined]
        defined |= new.keys()
        found.append(text.rstrip("\r\n") + "\n\n" + "\n".join(notes) + "\n" if notes else text)
    return found


def with_ids(text: str, passages: Mapping[str, Passage]) -> str:
    """A text of a draft as requests quote it: with the names of ``passages`` in the place of their footnotes."""
    ids = {passage.mark: name for name, passage in passages.items()}
    if not ids or "[^r-" not in text:
        return text
    bare = _redefined(text, lambda mark, _: "" if mark in ids else None)
    said = _outside_code(bare, NOTE, lambda note: f"[{ids[note['mark']]}]" if note["mark"] in ids else note[0])
    return said.rstrip("\r\n") + "\n" if said.strip() else ""


def renewed(text: str, known: Mapping[str, Passage]) -> str:
    """The text with footnotes that say where the passages that they cite stand by now."""

    def note(mark: str, content: str) -> str | None:
        passage = known.get(mark)
        return _says(passage) if passage and content != _says(passage) else None

    return _redefined(text, note) if "[^r-" in text else text


def _redefined(text: str, said: Callable[[str, str], str | None]) -> str:
    """The text with footnotes that say what ``said`` gives for mark and content: "" for none, None for the same."""
    lines = rows(text)
    for name, start, end, content in names.definitions(text):
        found = NOTE.fullmatch(f"[{name}]")
        new = said(found["mark"], content) if found else None
        if new is not None:
            ending = lines[end - 1][len(lines[end - 1].rstrip()) :]
            lines[start:end] = [f"[{name}]: {new}{ending}" if new else "", *[""] * (end - start - 1)]
    return "".join(lines)


def cited_marks(text: str) -> set[str]:
    """The marks of the passages that a text of a draft cites."""
    return {note["mark"] for note in NOTE.finditer(names.without_code(text))} if "[^r-" in text else set()


def outdated(section: int, texts: Mapping[int, str], known: Collection[str]) -> tuple[str, ...]:
    """The places that one of a chapter's sections cites and whose marks are not ``known``: what stood there changed, or
    is gone."""
    gone = cited_marks(texts[section]).difference(known)
    if not gone:
        return ()
    notes = {d.name: d.content for other in texts.values() for d in names.definitions(other)}
    return tuple(sorted(notes.get(f"^r-{mark}", mark).strip("`.") for mark in gone))


def _says(passage: Passage) -> str:
    return f"<{passage.origin}> ({passage.saved}), `{passage.place}`." if passage.origin else f"`{passage.place}`."


def _outside_code(text: str, pattern: re.Pattern[str], replaced: Callable[[re.Match[str]], str]) -> str:
    """The text with what a pattern finds outside of code replaced."""
    said, at = "", 0
    for found in pattern.finditer(names.without_code(text)):
        said += text[at : found.start()] + replaced(found)
        at = found.end()
    return said + text[at:]


# --- what is checked of them -----------------------------------------------------------------------------------

_FIGURES = re.compile(r"\d+")
_ANY_CITATION = re.compile(r"\[\^[^\]\s]+\](?!:)|\]\(https?://|<https?://")
_BEHIND = re.compile(
    rf"(?P<end>[.!?。！？]+[\"'”’」』）)*_]*)[ \t\n]*(?P<notes>(?:[ \t]*{NOTE.pattern.replace('mark', 'm')})+)"
)
_QUOTATION = re.compile(r"“([^“”]+)”|\"([^\"\n]+)\"|「([^「」]+)」|『([^『』]+)』|«([^«»]+)»")
_LEFT_OUT = re.compile(r"\[[^\]]*\]|\.{3}|…+")
_NOTICE = re.compile(r">[ \t]*(?:\[!|\*\*|__)")
"""How a note of the author's begins that has the form of a quote."""
_QUOTE_MARK = re.compile(r"(?m)^[ \t]*>[ \t]?")
_ATTRIBUTION = re.compile(r"\n[ \t]*[—–-]{1,2}[ \t][^\n]*\Z")
_SENTENCE_END = re.compile(r"[.!?:。！？：]")
_CODE = re.compile(r"(`+)(?P<code>.+?)\1", re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*\w")
_VERSION = re.compile(
    r"(?<![A-Za-z\d_.])(?:v(?=\d+\.\d)|(?:[Vv]ersion|版本)[ \t]*(?=\d))?(?P<figures>\d+(?:\.\d+)+)(?![A-Za-z\d_]|\.\d)"
)
_SYMBOL = re.compile(r"[A-Za-z_]\w*(?:(?:::|\.|->)[A-Za-z_]\w*)*(?:\(\)|!)?")
_NAMED = re.compile(r"_|::|->|\(\)$|!$|[a-z][A-Z]|^[A-Z][a-z]+[A-Z]")
QUOTED_WORDS = 4
"""From so many words on a quotation has to stand in what is cited; fewer may be a way of speaking."""
QUOTED_CJK = 8
CLAIM_TERMS = 0.5
CLAIM_PAIRS = 0.4
"""The share of a claim's terms, and of its pairs of Chinese characters, from which a passage makes it."""


def citation_findings(
    text: str, known: Mapping[str, Passage], must_cite: Sequence[str], *, section: int
) -> Iterator[Finding]:
    """Citations of what is not there, quotations and names that do not stand in what is cited, and claims that have to
    be cited and are not. ``known`` are the passages that the section may cite, by mark."""
    if known:
        yield from _unknown(text, known, section)
    others = "\n".join([*(passage.text for passage in known.values()), *(fence.code for fence in blocks.fences(text))])
    for line, said, marks, is_quote in _pieces(text) if known else ():
        passages = [known[mark] for mark in marks if mark in known]
        if not passages:
            continue
        where, paths = ", ".join(dict.fromkeys(one.place for one in passages)), {one.path for one in passages}
        cited = "\n".join(one.text for one in known.values() if one.path in paths)
        for quotation in [said] if is_quote else map("".join, _QUOTATION.findall(_CODE.sub(" ", said))):
            if _long_enough(quotation) and not _stands_in(quotation, cited):
                yield finding("misquoted", section, line, f"{where} does not say: {excerpt(quotation)}")
        for word in () if is_quote else dict.fromkeys(_missing(said, cited, others)):
            what = f"{where} is cited for {excerpt(word)}, and does not have it"
            yield finding("not-in-reference", section, line, what)
    for claim in must_cite:
        made = [paragraph for paragraph in blocks.paragraphs(text) if _makes(paragraph.text, claim)]
        if not any(_ANY_CITATION.search(names.without_code(paragraph.text)) for paragraph in made):
            line, what = (made[0].line + 1, "has no citation") if made else (1, "is not made")
            yield finding("uncited-claim", section, line, f"the claim {excerpt(claim)} {what}")


def _unknown(text: str, known: Mapping[str, Passage], section: int) -> Iterator[Finding]:
    bare = names.without_code(text)
    for found in (*_CITATION.finditer(bare), *NOTE.finditer(bare)):
        mark = found.groupdict().get("mark")
        if mark in known or not (mark or found["ids"]):
            continue
        what = "cites what no reference says, or not any more" if mark else "cites a passage that there is not"
        line = bare.count("\n", 0, found.start()) + 1
        around = text[text.rfind("\n", 0, found.start()) + 1 : found.start()][-50:]
        yield finding("unknown-citation", section, line, f"{found[0].strip()} {what}: {excerpt(around)}")


def _pieces(text: str) -> Iterator[tuple[int, str, list[str], bool]]:
    """The quotes and sentences of a text: line, words, the marks that they cite, and whether it is a quote."""
    quotes = [b for b in blocks.blocks(text) if b.kind == "quote" and not _NOTICE.match(b.text.lstrip())]
    for block in quotes:
        quote = _QUOTE_MARK.sub("", block.text)
        marks = [note["mark"] for note in NOTE.finditer(quote)]
        yield block.start + 1, _ATTRIBUTION.sub("", NOTE.sub("", quote)), marks, True
    quoted = {line for block in quotes for line in range(block.start, block.end)}
    for paragraph in blocks.paragraphs(text):
        for sentence, marks in _sentences(paragraph.text) if paragraph.line not in quoted else ():
            yield paragraph.line + 1, sentence, marks, False


def _sentences(text: str) -> Iterator[tuple[str, list[str]]]:
    """The sentences of a passage, each with the marks that it cites: inside, or right behind its full stop."""
    text = _BEHIND.sub(lambda found: f" {found['notes'].strip()}{found['end']} ", text)
    # A full stop in a quotation or in code ends no sentence.
    masked = _CODE.sub(lambda found: _SENTENCE_END.sub("\0", found[0]), text)
    masked = _QUOTATION.sub(lambda found: _SENTENCE_END.sub("\0", found[0]), masked)
    at, held = 0, ""
    for piece in matching.sentences(masked):
        held += text[at : at + len(piece)]
        at += len(piece)
        if not held.rstrip().endswith((":", "：")) or at == len(text):
            yield NOTE.sub("", held), [note["mark"] for note in NOTE.finditer(held)]
            held = ""


def _missing(sentence: str, cited: str, others: str) -> Iterator[str]:
    """The options and versions of a sentence that what it cites does not have, and symbols that ``others`` lack."""
    # Figures with points between are a version and no amount: three, or with a word that says so.
    versions = [(found[0], found["figures"]) for found in _VERSION.finditer(sentence)]
    every = [*_OPTION.findall(sentence), *(v for said, v in versions if v.count(".") > 1 or said != v)]
    yield from (w for w in every if not re.search(rf"(?<![\d.-]){re.escape(w)}(?![\w-]|\.\d)", cited))
    for found in _CODE.finditer(sentence):
        symbol = found["code"].strip()
        if _SYMBOL.fullmatch(symbol) and _NAMED.search(symbol):
            last = re.findall(r"\w+", symbol)[-1]
            if not re.search(rf"(?<!\w){re.escape(last)}(?!\w)", others):
                yield symbol


def _long_enough(quotation: str) -> bool:
    cjk = matching.cjk_letters(quotation)
    return cjk >= QUOTED_CJK or len(matching.tokens(quotation)) - cjk >= QUOTED_WORDS


def _stands_in(quotation: str, text: str) -> bool:
    """Whether the words stand there in this order, whatever signs are between; of one with gaps, its parts."""
    at, words = 0, _letters(text)
    for part in filter(None, map(_letters, _LEFT_OUT.split(quotation))):
        at = words.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _makes(text: str, claim: str) -> bool:
    """Whether a passage says what a claim says: the claim's figures, and enough of its terms."""
    wanted, pairs = matching.forms(claim), matching.cjk_pairs(claim)
    for own, least in ((wanted - pairs, CLAIM_TERMS), (pairs, CLAIM_PAIRS)):
        if len(own & matching.forms(text)) < least * len(own):
            return False
    return set(_FIGURES.findall(claim)) <= set(_FIGURES.findall(text))
