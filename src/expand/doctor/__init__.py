"""What is installed, reachable, priced and writable, and what to do where it is not.

``surroundings`` looks at the shell and the machine, ``authorship`` at the author model, ``storage``
at the workspace, ``live`` sends one small request through the ledger, ``examination`` does it all.
Nothing is raised for what is found: each finding carries its remedy and its exit code.
Nothing is imported here either: checking outlines needs no model.
"""
