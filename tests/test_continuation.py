"""Answers that were cut are joined to the very text of an uncut one; what is in doubt is kept and named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cut_texts import MANNERS, draft, run, token_ends
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_texts import markdown_texts
from workspaces import small

from expand import Workspace
from expand.drafting.section_text import SectionText, Skeleton
from expand.llm.types import Finish
from expand.markdown import assemble, blocks
from expand.testing import Behaviour, ScriptedAuthor
from expand.testing.runs import drafted
from expand.testing.scripted_author import GoesOn

TEXT = """Intro says **bold words**, `a code span` and [a link](https://example.org/a_b) that goes on.

- One item
- Another one
  - nested below it
\t- with a tab

| a | b |
|---|---|
| 1 | 2 |
| 1 | 2 |

<div>
  <div>
  </div>
</div>

```rust
fn main() {
    let x = vec![1, 2, 3];
    if x.len() > 2 {
        println!("{x:?}");
    }
}
```

Row, row, row your boat,
Row, row, row your boat.

内核把数据复制到用户空间，然后返回。页面仍在缓存里。

1. First step
2. Second step

The end.
"""


def section_text() -> SectionText:
    return SectionText(Skeleton(number=1, title="Pipes", topics=("Ends",), target=40))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("manner", MANNERS)
def test_a_text_cut_at_any_token_is_the_text(manner: str, newline: str) -> None:
    text = TEXT.replace("\n", newline)
    whole = draft([text]).render()
    for at in token_ends(text):
        joined = draft([text[:at], text[MANNERS[manner](text[:at]) :]])
        assert joined.render() == whole or (joined.doubts and manner == "block"), text[:at][-40:]


@pytest.mark.parametrize("manner", MANNERS)
def test_published_texts_cut_at_tokens_are_joined(manner: str) -> None:
    docs = Path(__file__).parents[1] / "docs"
    texts = [part for path in sorted(docs.glob("*.md")) for part in path.read_text().split("\n## ") if len(part) > 500]
    outcomes = run(texts, 40, manner, random.Random(1))
    assert outcomes["equal"] >= 39
    assert not outcomes["different"]


OPEN = "Text.\n\n```rust\nfn main() {\n    let x = vec![1, 2,"


@pytest.mark.parametrize(
    ("before", "more", "joined"),
    [
        ("", "a\n", "a\n"),
        ("The kernel copies", " data once.\n", "The kernel copies data once.\n"),
        ("The kernel copies", "The kernel copies data once.\n", "The kernel copies data once.\n"),
        ("The kernel copies\n", "data once.\n", "The kernel copies\ndata once.\n"),
        ("A kernel is a ker", "nel.\n", "A kernel is a kernel.\n"),
        ("It copies the data", "the data once.\n", "It copies the data once.\n"),
        ("It ends here.", "New thought.\n", "It ends here.\n\nNew thought.\n"),
        ("See std::", "Vec.\n", "See std::Vec.\n"),
        ("See `foo.", "Bar`.\n", "See `foo.Bar`.\n"),
        ("内核把数据复制", "到用户空间。\n", "内核把数据复制到用户空间。\n"),
        ("- a\n- the second", "- the second item\n", "- a\n- the second item\n"),
        ("- a\n-", "- b\n", "- a\n- b\n"),
        ("- a.\n- It ends.", "- b\n", "- a.\n- It ends.\n- b\n"),
        ("- `", "`rust` is it", "- ``rust` is it"),
        ("a\n\n``", "`c\nx\n```\n", "a\n\n```c\nx\n```\n"),
        ("a\n\n##", "## Head\n", "a\n\n## Head\n"),
        ("a\n\n[", "[docs](a.md)\n", "a\n\n[docs](a.md)\n"),
        ("a\n\n[", "docs](a.md)\n", "a\n\n[docs](a.md)\n"),
        ("```\r\nx:\r\n ", "x:\r\n  y\r\n```\r\n", "```\r\nx:\r\n  y\r\n```\r\n"),
        ("| a | b |\n|---|---|\n| 1", " | 2 |\n", "| a | b |\n|---|---|\n| 1 | 2 |\n"),
        ("One line.\r\nTw", "Two.\r\n", "One line.\r\nTwo.\r\n"),
        ("It sto", "Sure! Here is the rest of the section:\n\nIt stops.\n", "It stops.\n"),
        (OPEN, " 3];\n}\n```\n\nDone.\n", OPEN + " 3];\n}\n```\n\nDone.\n"),
        (OPEN, "    let x = vec![1, 2, 3];\n}\n```\n", OPEN + " 3];\n}\n```\n"),
        (OPEN, "let x = vec![1, 2, 3];\n}\n```\n", OPEN + " 3];\n}\n```\n"),
        (OPEN, "```rust\n    let x = vec![1, 2, 3];\n}\n```\n", OPEN + " 3];\n}\n```\n"),
        (OPEN, "```rust\nfn main() {\n    let x = vec![1, 2, 3];\n}\n```\n", OPEN + " 3];\n}\n```\n"),
        (OPEN, "```\n\nProse.\n", OPEN + "\n```\n\nProse.\n"),
        ("```rust\n}\n", "}\n```\n", "```rust\n}\n}\n```\n"),
        ("```py\nx\n", "## comment\ny\n```", "```py\nx\n## comment\ny\n```"),
        ("````md\n", "```rust\nx\n```\n````\n", "````md\n```rust\nx\n```\n````\n"),
        ("```c\nf() {\n    ", "        a();\n", "```c\nf() {\n        a();\n"),
        ("```c\nf() {\n   ", " a();\n", "```c\nf() {\n    a();\n"),
        ("<ul>\n</ul>\n", "</ul>\n", "<ul>\n</ul>\n</ul>\n"),
        ("Row the little boat,\n", "Row the little boat,\n", "Row the little boat,\nRow the little boat,\n"),
    ],
)
def test_a_cut_text_goes_on(before: str, more: str, joined: str) -> None:
    assert assemble.resume(before, more).text == joined


@pytest.mark.parametrize(
    ("before", "more", "joined"),
    [
        ("The kernel copies", "Two things follow.\n", "The kernel copies\n\nTwo things follow.\n"),
        ("It may be half", "## Head\n", "It may be half\n\n## Head\n"),
        ("A pipe holds it. It reads", "a pipe and reads.\n", "A pipe holds it. It reads a pipe and reads.\n"),
        (OPEN, "## Next\n\nProse.\n", OPEN + "\n```\n\n## Next\n\nProse.\n"),
        (OPEN, "Prose.\n\n```toml\na = 1\n```\n", OPEN + "\n```\n\nProse.\n\n```toml\na = 1\n```\n"),
        ("- a\n- a\n", "- a\n", "- a\n- a\n- a\n"),
    ],
)
def test_what_nobody_can_tell_is_kept_and_named(before: str, more: str, joined: str) -> None:
    found = assemble.resume(before, more)
    assert found.text == joined
    assert found.doubt == (before[-32:], more[:32])


@pytest.mark.parametrize(
    ("before", "more", "joined"),
    [
        ("a\n", "\n", "a\n"),
        ("One.\n", "Two.\n", "One.\n\nTwo.\n"),
        ("One.\n\n\n", "\n\nTwo.\n", "One.\n\nTwo.\n"),
        ("One.\r\n", "Two.\r\n", "One.\r\n\r\nTwo.\r\n"),
        ("- a\n- b\n", "- c\n", "- a\n- b\n- c\n"),
        ("- a\n\n", "Text.\n", "- a\n\nText.\n"),
        ("| a |\n|---|\n| 1 |\n", "| 2 |\n", "| a |\n|---|\n| 1 |\n| 2 |\n"),
        ("It moves pages.\n\nIt copies none.\n", "It moves pages.\nIt copies none.\n\nNew.\n",
         "It moves pages.\nIt copies none.\n\nNew.\n"),
        ("| a |\n|---|\n| 1 |\n", "| 1 |\n", "| a |\n|---|\n| 1 |\n| 1 |\n"),
    ],
)  # fmt: skip
def test_a_whole_text_gets_a_new_block(before: str, more: str, joined: str) -> None:
    assert assemble.append(before, more) == joined


@pytest.mark.parametrize(
    ("before", "more", "again"),
    [
        # twelve characters, four different ones
        ("```\nabcdef\nghijkl\n", "abcdef\nghijkl\nnew\n", True),
        ("```\nabcdef\nghijk\n", "abcdef\nghijk\nnew\n", False),
        ("```\nabcdab\ncdabcd\n", "abcdab\ncdabcd\nnew\n", True),
        ("```\nabcabc\nabcabca\n", "abcabc\nabcabca\nnew\n", False),
        # a paragraph of one line has 25, a wrapped line 60
        ("a" * 25 + "\n\n", "a" * 25 + "\n\nnew\n", True),
        ("a" * 24 + "\n\n", "a" * 24 + "\n\nnew\n", False),
        ("a" * 60 + "\n", "a" * 60 + "\nnew\n", True),
        ("a" * 59 + "\n", "a" * 59 + "\nnew\n", False),
        # a line of anything else behind a blank one weighs 8
        ("- abcdef\n", "- abcdef\n- new\n", True),
        ("- abcde\n", "- abcde\n- new\n", False),
        ("```\nx\n\nabcdefgh\n", "abcdefgh\nnew\n", True),
        ("```\nx\nabcdefgh\n", "abcdefgh\nnew\n", False),
        # a piece of a line weighs 8
        ("It ends in abcdefgh", "abcdefgh, then.\n", True),
        ("It ends in abcdefg", "abcdefg, then.\n", False),
        ("内核移动数据", "移动数据页面。\n", True),
        ("内核动数据", "动数据页面。\n", False),
    ],
)
def test_how_much_has_to_be_said_again(before: str, more: str, again: bool) -> None:
    joined = assemble.resume(before, more).text
    assert (joined.count(more[:4]) == before.count(more[:4])) == again


@pytest.mark.parametrize(("size", "again"), [(400, True), (401, False)])
def test_400_lines_may_be_said_again(size: int, again: bool) -> None:
    said = [f"line {number}\n" for number in range(401)]
    before, more = "```text\n" + "".join(said), "".join(said[-size:]) + "new\n```\n"
    assert assemble.resume(before, more).text == before + ("new\n```\n" if again else more)


def test_an_answer_for_several_topics_goes_on_across_them() -> None:
    whole = "### Ends\n\nA pipe has two ends.\n\n### Size\n\n#### Limits\n\nIt holds 64 KiB.\n\n### Errors\n\nEPIPE.\n"
    for at in token_ends(whole)[4:]:
        drafts = []
        for answers in ([whole], [whole[:at], whole[at:]]):
            text = SectionText(Skeleton(number=1, title="Pipes", topics=("Ends", "Size", "Errors"), target=40))
            slots: tuple[int, ...] = (0, 1, 2)
            for number, answer in enumerate(answers, 1):
                text.add(answer, Finish.STOP if number == len(answers) else Finish.LENGTH, slots)
                slots = (next((slot for slot in (2, 1, 0) if text.bodies[slot].strip()), 0),)
            drafts.append(text.render())
        assert drafts[0] == drafts[1], whole[:at]


def test_a_cut_answer_is_shown_as_it_came_and_its_headings_keep_their_levels() -> None:
    text = section_text()
    text.add("Intro.\n\n## One\n\nText of o", Finish.LENGTH, (0,))
    assert text.bodies == ["Intro.\n\n#### One\n\nText of o"]
    assert text.tail(0, 3) == "## One\n\nText of o"
    text.add("Text of one.\n\n## Two\n", Finish.STOP, (0,))
    assert text.bodies == ["Intro.\n\n#### One\n\nText of one.\n\n#### Two\n"]


@settings(max_examples=200, deadline=None)
@given(markdown_texts, st.data())
def test_code_is_joined_without_loss(text: str, data: st.DataObject) -> None:
    whole = f"Intro.\n\n```rust\n#[derive(Debug)]\nstruct Pipe;\n```\n\n{text}"
    place = data.draw(st.integers(8, whole.index("Pipe")))
    joined = assemble.resume(whole[:place], whole[place:]).text
    assert "struct Pipe;" in "".join(block.code for block in blocks.fences(joined))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_raises_and_no_word_is_lost(one: str, other: str) -> None:
    assert set(one.split()) <= {word for word in one.split() if word in assemble.resume(one, other).text}
    assemble.append(one, other)


@pytest.mark.parametrize(("goes_on", "severities"), [("anew", []), ("verbatim", []), ("aside", ["warning"])])
@pytest.mark.parametrize("behaviour", ["cut_off", "broken_stream"])
def test_a_chapter_whose_answers_are_cut(
    goes_on: GoesOn, severities: list[str], behaviour: Behaviour, tmp_path: Path
) -> None:
    author = ScriptedAuthor(script=[behaviour], goes_on=goes_on)
    chapter = drafted(Workspace.open(small(tmp_path)), author, "07", sections=[3], concurrency=1)
    assert "once more" in chapter.requests_for(3, "continue")[0].last_user_message
    cut = [one for one in chapter.chapter.sections[0].findings if one.kind == "cut"]
    assert [one.severity for one in cut] == severities


def test_a_text_of_crlf_lines_ends_without_a_part_of_one() -> None:
    assert draft(["One.\r\n\r\n"]).render().endswith("One.")
    assert draft(["One.", "\r\n\r\n"]).render() == draft(["One.\r\n\r\n"]).render()


def test_an_answer_that_is_only_the_end_of_a_line_ends_it() -> None:
    listing = "```yaml\nreferences:\n- docs/\n- src/\n```\n"
    at = listing.index("\n- src/")
    assert draft([listing[:at], "\n", listing[at + 1 :]]).render() == draft([listing]).render()
