"""Judge a draft's code blocks by the toolchains of their languages, in a sandbox.

``annotations`` reads the blocks of a text with what their authors say of them, ``checkers`` is the table of languages,
``sandbox`` runs a command that a model's text is given to, ``chapter_code`` judges all blocks of a chapter.
"""
