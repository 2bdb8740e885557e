"""A back end that queues sections for workers on any number of machines, in the ledger's own PostgreSQL database.

``queue_backend`` is the way in: submit, status, collect, cancel. A job (``jobs``) says which section is wanted and what
it is made from. Workers (``work_loop``) take jobs from the queue (``job_queue``), and with a checkout of the workspace
buy their answers (``section_runner``). procrastinate keeps the jobs; budget, pauses and answers are the ledger's.
"""
