"""Checks what is installed, reachable, priced and writable, and names a remedy for each problem.

``environment`` checks the shell and the machine, ``model_checks`` the author model, ``storage`` the workspace;
``live_request`` sends one small request through the ledger; ``run_checks`` runs them all. Nothing is imported here:
checking outlines needs no model.
"""
