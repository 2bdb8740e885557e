"""Checks what is installed, reachable, priced and writable, and names a remedy for each problem.

``environment`` checks the machine and the workspace, ``model_checks`` the author model; ``run_checks`` runs them all.
Nothing is imported here: checking outlines needs no model.
"""
