"""Pages as site generators have them, with every construct that a draft must leave alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SitePage:
    """A page, and the headings that an outline of it names, each with topics."""

    name: str
    text: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]


MKDOCS = SitePage(
    "mkdocs",
    """\
---
title: Queues
description: "How queues work"
tags: [queues, io]
---

<!-- markdownlint-disable MD013 -->

# Queues { #queues }

!!! tip "Read first"

    Start with [the overview](overview.md#start).

Text before the first section[^1].

[TOC]

## Ring Buffers { #rings data-toc-label="Rings" }

A ring buffer has a fixed size.

=== "C"

    ```c
    int head;
    ```

=== "Rust"

    ```rust
    let head = 0;
    ```

### Sizes

TODO

### Overflow policy {: #overflow }

It drops the oldest entry.

*[HTML]: Hyper Text Markup Language

## Waiting { #waiting .wide }

??? note "Details"

    ## Not a heading of the page

Setext below
------------

Body.

## See also

- [Other](other.md)

[^1]: A footnote.

[ref]: https://example.org "Title"
""",
    (("Ring buffers", ("Sizes", "Overflow policy")), ("Waiting", ("Futex", "Polling"))),
)

VITEPRESS = SitePage(
    "vitepress",
    """\
---
layout: doc
outline: [2, 3]
---

<script setup>
import Demo from './Demo.vue'
const items = ['# no', '## heading']
</script>

# Getting Started {#start}

[[toc]]

<Demo :items="items" />

## Installation

::: code-group

```sh [npm]
npm add -D thing
```

```sh [pnpm]
pnpm add -D thing
```

:::

::: details Click me

## Inside a container

Hidden text.

:::

## Configuration {#config}

<<< @/snippets/config.js{2}

| Key | Default |
|-----|---------|
| a   | `1`     |

<style scoped>
h1 { color: red }
</style>
""",
    (("Installation", ("Requirements",)), ("Configuration", ())),
)

DOCUSAURUS = SitePage(
    "docusaurus",
    """\
---
id: intro
sidebar_position: 1
slug: /
---

import Tabs from '@theme/Tabs';
import TabItem from '@theme/TabItem';

# Introduction

{/* a comment */}

## Why it matters {#why}

<Tabs>
  <TabItem value="a" label="A">

  ## Not a section

  Inside.

  </TabItem>
</Tabs>

:::note Take care

Mind **this**.

:::

## How it works

Text with <kbd>Ctrl</kbd>.

<details>
<summary>More</summary>

### Hidden

Text.

</details>

export const answer = 42;
""",
    (("Why it matters", ("History",)), ("How it works", ("Inside",)), ("What is next", ())),
)

DOCSIFY = SitePage(
    "docsify",
    """\
# Quick start :rocket:

> An awesome project.

Text first. <!-- {docsify-ignore} -->

## 1. Setup :id=setup

[filename](_media/example.md ':include')

## 2. Writing pages

* one
* two

    indented code

?> A tip.

## 3. Deploying

!> Important.

***

*Last updated: 2024-01-01*
""",
    (("Setup", ("Windows",)), ("Writing pages", ("Links", "Images")), ("Deploying", ()), ("Monitoring", ("Logs",))),
)

MYST = SitePage(
    "myst",
    """\
---
myst:
  html_meta:
    keywords: a, b
---

(guide-top)=
# Guide

```{contents}
:depth: 2
```

(sec-io)=
## Input and output

:::{warning}
Careful.
:::

{{ substitution }}

```{math}
:label: eq
a = b
```

(sec-files)=
### Files

See {ref}`sec-io`.

+++ {"tag": "cell"}

## Processes

$$
x = y
===
z
$$

% a comment

```{include} ../shared.md
```
""",
    (("Input and output", ("Files", "Sockets")), ("Processes", ("Signals",))),
)

MDBOOK = SitePage(
    "mdbook",
    """\
# Chapter Title

<!-- toc -->

<a id="the-start"></a>

First Section
=============

{{#include listing.rs}}

Text of the first.

<a id="second"></a>

Second Section
==============

```rust,editable
{{#rustdoc_include ../src/main.rs:5:7}}
```

Sub heading
-----------

More.

Third
=====
""",
    (("First section", ("Background",)), ("Second section", ("Sub heading", "Caveats")), ("Third", ())),
)

NUMBERED = SitePage(
    "numbered",
    """\
# 3. Memory

Overview.

## 3.1 Allocation

Text.

#### 3.1.0.1 Deep

Deep text.

## 3.2 Fragmentation

Coming soon.

### 4.19 and io_uring

A version in front.
## 3.4 No blank above
Text directly below.
""",
    (("Allocation", ("Arenas",)), ("Fragmentation", ("Compaction",)), ("No blank above", ()), ("Summary", ())),
)

MDX = SitePage(
    "mdx",
    """\
{
  "title": "Widgets",

  "tags": ["a"]
}

import {
  One,

  Two
} from './widgets';

export const answer = () => {

  return 42

};

{/* a comment

## Not a heading either

*/}

Intro <One on={() => go()} style={{a: {b: 1}}} />.

## Set up {#set-up}

<>

## In a fragment

</>

TODO

[](){#use}
## Use

<Two
  first={1}

  second="x > y"
/>

:::tip[Read first]

### In a tip

:::

### Props

`<T>` is a type, and so is `</T>`.

<!-- tabs:start -->

#### **JavaScript**

text

#### **Rust**

<!-- tabs:end -->
""",
    (("Set up", ("Requirements",)), ("Use", ("Props", "Events"))),
)

SHORTCODES = SitePage(
    "shortcodes",
    """\
+++
title = "Shortcodes"

[params]
x = 1
+++

{{< tabs "a" >}}
{{% tab "Linux" %}}

## Not one

{{% /tab %}}
{{< /tabs >}}

{% include head.html %}

一、安装
--------

{% tab a %}

## Nor this

{% endtab %}

二、使用
--------

/// admonition | Note

## Nor that

///

待补充

<span id="gone"></span>

三、结语
--------

*[HTML]: Hyper Text
""",
    (("安装", ()), ("使用", ("启动",)), ("结语", ()), ("附录", ())),
)

PAGES = (MKDOCS, VITEPRESS, DOCUSAURUS, DOCSIFY, MYST, MDBOOK, NUMBERED, MDX, SHORTCODES)
