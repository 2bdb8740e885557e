"""Titles and words compared across spellings and scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_texts import titles_alike

from expand.markdown import matching


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("2.1.3 Pipes", "Pipes"),
        ("2.1. Pipes", "Pipes"),
        ("2.10 Pipes", "Pipes"),
        ("2.11 Pipes", "2.11 Pipes"),
        ("2.1性能", "性能"),
        ("1.5倍", "1.5倍"),
        ("2.Pipes", "Pipes"),
        ("2.x branches", "2.x branches"),
        ("3 - Pipes", "Pipes"),
        ("A.3 Pipes", "Pipes"),
        ("A.3", "A.3"),
        ("C. elegans", "C. elegans"),
        ("IV. Pipes", "Pipes"),
        ("Chapter 2 Pipes", "Pipes"),
        ("Appendix A: Pipes", "Pipes"),
        ("①管道", "管道"),
        ("第十二章 管道", "管道"),
        ("第一部分：管道", "管道"),
        ("第三方库", "第三方库"),
        ("第二次世界大战", "第二次世界大战"),
        ("一次性密码", "一次性密码"),
        ("4.19 and io_uring", "4.19 and io_uring"),
        ("6.1 kernels", "6.1 kernels"),
        ("2.4 GHz radios", "2.4 GHz radios"),
        ("5.4 与 io_uring", "5.4 与 io_uring"),
        ("20.04 desktop", "20.04 desktop"),
        ("2024 roadmap", "2024 roadmap"),
        ("HTTP/2", "HTTP/2"),
        ("7-zip", "7-zip"),
        ("3D plots", "3D plots"),
        ("4:3 screens", "4:3 screens"),
        ("2.1 Pipes", "Pipes"),
        ("2. Pipes", "Pipes"),
        ("3) Pipes", "Pipes"),
        ("**2.1 Pipes**", "**Pipes**"),
        ("§2.1 Pipes", "Pipes"),
        ("Section 2: Pipes", "Pipes"),
        ("一、管道", "管道"),
        ("（二）管道", "管道"),
        ("第2节 管道", "管道"),
        ("第三章：管道", "管道"),
        ("1.90 features", "1.90 features"),
        ("0.30 release", "0.30 release"),
        ("3 ways", "3 ways"),
        ("1.5x faster", "1.5x faster"),
        ("2.1.3", "2.1.3"),
        ("Pipes 2.1", "Pipes 2.1"),
    ],
)
def test_numbers_in_front_are_dropped(title: str, bare: str) -> None:
    assert matching.unnumbered(title) == bare


@pytest.mark.parametrize(
    ("titles", "bare"),
    [
        (["1 Pipes", "2 Files"], ["Pipes", "Files"]),
        (["1 Pipes", "Files"], ["1 Pipes", "Files"]),
        (["3 ways", "5 reasons"], ["3 ways", "5 reasons"]),
        (["2024 roadmap", "2025 roadmap"], ["2024 roadmap", "2025 roadmap"]),
        (["4.1 features", "4.2 changes", "4.19 and io_uring"], ["features", "changes", "4.19 and io_uring"]),
        (["5.1 features", "Pipes"], ["5.1 features", "Pipes"]),
        (["A. Pipes", "B. Files"], ["Pipes", "Files"]),
        (["A. Pipes", "Files"], ["A. Pipes", "Files"]),
        ([], []),
    ],
)
def test_neighbours_tell_a_number_from_a_figure(titles: list[str], bare: list[str]) -> None:
    assert matching.all_unnumbered(titles) == bare


def test_likeness() -> None:
    assert matching.likeness("2.1 Zero Copy!", "zero copy") == 1.0
    assert matching.likeness("性能指标体系", "性能指标体系（延迟/吞吐量）") == 1.0
    assert matching.likeness("Buffers in the kernel", "Kernel buffers") == 0.95
    assert matching.likeness("Pipes", "Memory") < 0.4
    assert matching.likeness("", "Pipes") == 0.0


def test_terms_of_both_scripts() -> None:
    assert matching.terms("Profiling 内存映射 with mmap_file 页") == {
        "profil",
        "mmap",
        "fil",
        "内存",
        "存映",
        "映射",
        "页",
    }
    assert matching.stem("queries") == matching.stem("query") == "quer"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's the 2nd `mmap_file`'s page.", ["it's", "the", "2nd", "mmap", "file", "s", "page"]),
        ("'Quoted' o'clock's don''t", ["quoted", "o'clock", "s", "don", "t"]),
        ("A\x00b\x1fc-d_e", ["a", "b", "c", "d", "e"]),
        ("Straße’s 内存 — ok", ["strasse’s", "内", "存", "ok"]),
        ("", []),
    ],
)
def test_tokens_are_words_and_single_chinese_characters(text: str, tokens: list[str]) -> None:
    assert matching.tokens(text) == tokens


@given(st.text(st.sampled_from("aB9_'’ \n-.é内"), max_size=12))
def test_tokens_are_the_same_whether_or_not_all_is_ascii(text: str) -> None:
    assert matching.tokens(text) == matching.tokens(f"{text} 內")[:-1]


def test_prose_has_no_code_and_no_addresses() -> None:
    assert matching.prose("use `a b` [x](y.md) https://e.org/z now").split() == [
        "use",
        "[x]()",
        "now",
    ]


def test_languages_and_texts_in_scripts_without_spaces() -> None:
    assert all(map(matching.is_cjk_language, ("zh", "zh-Hans", "ZH-TW", "ja", "ko")))
    assert not any(map(matching.is_cjk_language, ("en", "de", "zhx")))
    assert matching.is_cjk_text("用 splice 系统调用避免复制")
    assert matching.is_cjk_text("パイプとファイル")
    assert not matching.is_cjk_text("The character 零 stands for nothing here")
    assert not matching.is_cjk_text("")


def test_likeness_is_the_share_of_common_letters() -> None:
    assert matching.likeness(*titles_alike(9, 25)) == 0.72
    assert matching.likeness(*titles_alike(23, 64)) == 0.71875
    assert matching.best_likeness("Pipes", ["", "pipes", "Memory"]) == 1.0
    assert matching.best_likeness("Pipes", []) == 0.0


@pytest.mark.parametrize(("cjk", "expected"), [(15, False), (16, True)])
def test_a_text_is_chinese_above_a_share_of_its_letters(cjk: int, expected: bool) -> None:
    assert matching.is_cjk_text("内" * cjk + " 12 " + "a" * (100 - cjk)) is expected


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("asked", "ask"),
        ("aged", "aged"),
        ("uses", "use"),
        ("use", "use"),
        ("add", "add"),
        ("adds", "add"),
        ("running", "run"),
        ("less", "les"),
        ("egg", "egg"),
    ],
)
def test_three_letters_of_a_word_stay(word: str, stem: str) -> None:
    assert matching.stem(word) == stem


def test_a_term_has_two_letters() -> None:
    assert matching.terms("C go 42") == {"go"}
    assert matching.likeness("A", "A") == 0.0, "a title of one letter is like none"
    assert matching.likeness("Ab", "Ab") == 1.0


def test_sentences_are_cut_after_their_ends_and_are_the_text() -> None:
    text = 'One. Two? "Three." 4.5 stays; see a.b:c. 内核。管道！End'
    assert matching.sentences(text) == [
        "One. ",
        "Two? ",
        '"Three." ',
        "4.5 stays; see a.b:c. ",
        "内核。",
        "管道！",
        "End",
    ]
    assert matching.sentences("") == []
