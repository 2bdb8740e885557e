"""Behaviours of providers: what stands around, in and at the end of a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from behaviours.server import HANG_UP, Behaviour, Call, Reply, answer, chunk, event, pieces_of, stream_reply, usage

THOUGHT = "Okay, the user wants a section. I should think about it first."


def _with(put: Callable[[str], str]) -> Callable[[Call], Reply]:
    """Answer with a good text, put into something."""
    return lambda call: answer(call, put(call.good_text()))


def _once(put: Callable[[str], str], *, finish: str = "stop") -> Callable[[Call], Reply]:
    """The same for the first answer; all others are good."""

    def reply(call: Call) -> Reply:
        text = call.good_text()
        return answer(call, put(text), finish=finish) if call.number == 1 else answer(call, text)

    return reply


def _always(text: str, *, finish: str = "stop", spends: bool = False) -> Callable[[Call], Reply]:
    """Answer the same whatever is asked; ``spends``: all of the output cap, on reasoning."""

    def reply(call: Call) -> Reply:
        if not spends:
            return answer(call, text, finish=finish)
        cap = int(call.body.get("max_tokens") or call.body["max_completion_tokens"])
        return _spent(call, cap, text, finish)

    return reply


def _spent(call: Call, tokens: int, text: str = "", finish: str = "length") -> Reply:
    total = call.prompt_tokens + tokens
    reported = {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": tokens},
    }
    return replace(answer(call, text, finish=finish, reported=reported), billed=total)


def _thinks_up_to(most: int) -> Callable[[Call], Reply]:
    """Spend every output cap up to ``most`` tokens on thinking, and write under a larger one."""

    def reply(call: Call) -> Reply:
        cap = int(call.body["max_tokens"])
        return _spent(call, cap) if cap <= most else answer(call, call.good_text())

    return reply


def _lines_of(line: str, around: str = "{}") -> Callable[[Call], Reply]:
    """A reply of the lines asked, each with its number ``n`` in the answer and that of the ``call``."""

    def reply(call: Call) -> Reply:
        rows = [line.format(n=number, call=call.number) for number in range(1, call.asked[0] + 1)]
        return answer(call, around.format("\n".join(rows)))

    return reply


def _vanishing(call: Call) -> Reply:
    return answer(call, f"Sentence {call.number} stands alone here.\n")


def _breaks_in_a_word(call: Call) -> Reply:
    if call.number > 1:
        return answer(call, f"Now a new paragraph begins.\n\n{call.good_text()}")
    text = "A first sentence stands here.\n\nThe kernel copies the remaining pages into the user's bu"
    events = [event(chunk(call, {"content": piece})) for piece in pieces_of(text)]
    return stream_reply([*events, 0.05, HANG_UP], text=text, billed=usage(call, text)["total_tokens"])


def _ends_in_a_word(text: str) -> str:
    """A text whose last paragraph ends in a word, while its others end in full stops."""
    whole = "The scheduler picks a task from the queue.\n\nThe queue holds what is ready to run.\n\n"
    return f"{text}\n{whole}Each worker takes the next task as soon as it has finished the one bef"


def _never_ends(call: Call) -> Reply:
    text = f"Sentence {call.number} says one thing that is new.\n\nSentence {call.number + 50} says another one.\n\n"
    return answer(call, f"{text}Number {call.number} goes on with what the other two have begun and sto")


_HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"
_ODD = "Some\x00 text\x1b[31m with\u202e odd\ufeff characters\x9b.\n\n"
_QUOTED = "Models write `<think>` and `</think>`.\n\n```text\n<think>\nA plan.\n</think>\nAn answer.\n```\n\n"
_MARKDOWN_SAMPLE = "A sample follows.\n\n````markdown\n# Title\n\n```rust\nfn a() {}\n```\n````\n\n"


def _thinking(name: str, does: str, put: Callable[[str], str]) -> Behaviour:
    return Behaviour(name=name, does=does, reply=_with(put), found=("left-off",), kept_out=THOUGHT)


BEHAVIOURS: tuple[Behaviour, ...] = (
    _thinking("think-tags", "thinks in <think> tags", lambda t: f"<think>\n{THOUGHT}\n</think>\n\n{t}"),
    _thinking("think-upper", "thinks in <THINKING type=…>", lambda t: f'<THINKING type="a">{THOUGHT}</Thinking>{t}'),
    _thinking("think-closed-only", "closes thinking that the prompt opened", lambda t: f"{THOUGHT}\n</think>\n\n{t}"),
    _thinking("think-nested", "thinks within thinking", lambda t: f"<think>a<think>{THOUGHT}</think>b</think>{t}"),
    _thinking("think-twice", "thinks twice", lambda t: f"<think>{THOUGHT}</think>\n<think>{THOUGHT}</think>\n{t}"),
    _thinking("think-kimi", "thinks in ◁think▷", lambda t: f"◁think▷{THOUGHT}◁/think▷{t}"),
    _thinking("think-magistral", "thinks in [THINK]", lambda t: f"[THINK]{THOUGHT}[/THINK]{t}"),
    _thinking("think-harmony", "writes gpt-oss channels", lambda t: _HARMONY.format(THOUGHT, t)),
    _thinking("think-fenced", "thinks in a fence", lambda t: f"```thinking\n{THOUGHT}\n```\n\n{t}"),
    _thinking("think-in-wrapper", "thinks in its fence", lambda t: f"```markdown\n<think>{THOUGHT}</think>\n{t}```\n"),
    _thinking("think-between", "thinks between paragraphs", lambda t: f"{t}\n<think>\n{THOUGHT}\n</think>\n\nDone.\n"),
    Behaviour(
        name="think-quoted",
        does="quotes thinking tags in code",
        reply=_once(lambda text: _QUOTED + text),
        drafted="<think>\nA plan.\n</think>\nAn answer.",
    ),
    Behaviour(
        name="think-unclosed",
        does="never ends its thinking",
        reply=_always(f"<think>{THOUGHT}", finish="length"),
        codes=(4,),
        said="on thinking",
        kept_out=THOUGHT,
        most_requests=6,
    ),
    Behaviour(
        name="spends-cap",
        does="spends every output cap on reasoning",
        reply=_always("", finish="length", spends=True),
        codes=(4,),
        said="reasoning_tokens",
        most_requests=6,
    ),
    Behaviour(
        name="spends-small-caps",
        does="spends an output cap below 1,200 tokens on reasoning",
        reply=_thinks_up_to(1_200),
        said="asking once more with",
        options=("--concurrency", "1"),
    ),
    Behaviour(
        name="spends-small-caps-at-once",
        does="does so while several sections are asked for",
        reply=_thinks_up_to(1_200),
        said="asking once more with",
        # Which sections pay for a small cap before one has learnt of it is chance; one that did may end over its plan.
        codes=(0, 5),
    ),
    Behaviour(
        name="special-tokens",
        does="leaves special tokens at both ends",
        reply=_with(lambda text: f"<|im_start|>assistant\n{text}<|im_end|>\n"),
        found=("left-off",),
        kept_out="<|im_",
    ),
    Behaviour(
        name="plays-the-user",
        does="goes on in the user's place",
        reply=_with(lambda text: f"{text}<|im_end|>\n<|im_start|>user\nNow write the next one.\n"),
        found=("left-off",),
        kept_out="Now write the next one",
    ),
    Behaviour(
        name="empty",
        does="answers without any text",
        reply=_always(""),
        codes=(5,),
        found=("empty",),
        most_requests=12,
    ),
    Behaviour(
        name="refuses",
        does="refuses in its text",
        reply=_always("I'm sorry, but I can't help with that."),
        codes=(5,),
        found=("refusal",),
    ),
    Behaviour(
        name="one-word-a-line",
        does="writes one word on each line",
        reply=_lines_of("Word{call}x{n}"),
        codes=(5,),
        found=("thin",),
    ),
    Behaviour(
        name="steps-without-matter",
        does="writes a numbered list of steps that say nothing",
        reply=_lines_of("{n}. Step {n}"),
        codes=(5,),
        found=("thin",),
    ),
    Behaviour(
        name="comments-only",
        does="writes code that is nothing but comments",
        reply=_lines_of("// what step {n} of this long run does", "```rust\n{}\n```"),
        codes=(5,),
        found=("thin",),
    ),
    Behaviour(
        name="vanishing",
        does="answers one sentence whatever is asked",
        reply=_vanishing,
        codes=(5,),
        found=("short",),
        most_requests=20,
    ),
    Behaviour(
        name="stops-in-a-word",
        does="reports stop for a text that ends in a word",
        reply=_once(_ends_in_a_word),
        kept_out="the one bef\n",
    ),
    Behaviour(
        name="stops-in-a-fence",
        does="reports stop for a text that ends in a block of code",
        reply=_once(lambda text: f"{text}\n```rust\nfn half() {{"),
        codes=(0, 5),
    ),
    Behaviour(
        name="never-ends",
        does="ends each text in a word",
        reply=_never_ends,
        codes=(5,),
        found=("cut",),
    ),
    Behaviour(
        name="breaks-in-a-word",
        does="loses its connection in a word, and begins a new paragraph",
        reply=_breaks_in_a_word,
        codes=(5,),
        found=("cut",),
    ),
    Behaviour(
        name="wrapped",
        does="puts all of it into a Markdown fence, code in fences of the same length",
        reply=_with(lambda text: f"```markdown\n{text.rstrip()}\n```\n"),
        kept_out="```markdown",
    ),
    Behaviour(
        name="wrapped-and-announced",
        does="announces a Markdown fence, and takes its leave below",
        reply=_with(lambda text: f"Here is the section:\n\n```md\n{text.rstrip()}\n```\n\nLet me know what you think!"),
        kept_out="```md",
    ),
    Behaviour(
        name="wrapped-in-tildes",
        does="puts all of it into a fence of tildes without a name",
        reply=_with(lambda text: f"~~~~\n{text.rstrip()}\n~~~~\n"),
        kept_out="~~~~",
    ),
    Behaviour(
        name="markdown-sample",
        does="shows Markdown in a longer fence",
        reply=_once(lambda text: _MARKDOWN_SAMPLE + text),
        drafted="````markdown\n# Title\n\n```rust\nfn a() {}\n```\n````",
    ),
    Behaviour(
        name="odd-characters",
        does="writes NUL, ESC, and bidirectional overrides",
        reply=_once(lambda text: _ODD + text),
        found=("forbidden-character",),
        drafted="Some text with odd characters.",
        kept_out="\x00",
    ),
    Behaviour(
        name="crlf",
        does="ends its lines in CR LF",
        reply=_with(lambda text: text.replace("\n", "\r\n")),
    ),
)
