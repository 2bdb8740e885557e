"""The budgeted client: from an order to an answer that is paid for, stored, and never bought twice.

``client`` buys, ``limiter`` says when a request may go out, and ``retry_policy`` what each failure means.
"""
