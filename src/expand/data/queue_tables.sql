CREATE TABLE queue_version (migration TEXT NOT NULL);

CREATE TABLE queue_worker (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    began_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE queue_word (
    job_id BIGINT PRIMARY KEY REFERENCES procrastinate_jobs ON DELETE CASCADE,
    worker TEXT NOT NULL,
    message TEXT NOT NULL,
    lines INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    tokens BIGINT NOT NULL
)
