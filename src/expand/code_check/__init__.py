"""Judge a draft's code blocks by the toolchains of their languages, in a sandbox.

``checkers`` reads the blocks of a text with what their authors say of them, and judges one; ``sandbox`` runs a command
that a model's text is given to; ``chapter_code`` judges all blocks of a chapter, and the Rust ones as a package.
"""
