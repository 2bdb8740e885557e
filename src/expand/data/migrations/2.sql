CREATE TABLE batch (
    id TEXT PRIMARY KEY REFERENCES owner (id),
    run TEXT NOT NULL REFERENCES run (id),
    submitter TEXT NOT NULL REFERENCES owner (id),
    submitting INTEGER CHECK (submitting = 1),
    stage TEXT NOT NULL CHECK (stage IN ('open', 'prepared', 'uploaded', 'creating',
        'submitted', 'collected', 'withdrawn', 'lost')),
    model TEXT NOT NULL, base_url TEXT NOT NULL, terms TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0,
    input_file TEXT NOT NULL DEFAULT '', remote TEXT NOT NULL DEFAULT '',
    remote_status TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '',
    answered INTEGER NOT NULL DEFAULT 0, unbilled INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    began_at TEXT NOT NULL, submitted_at TEXT, expires_at TEXT, ended_at TEXT
) WITHOUT ROWID;

CREATE UNIQUE INDEX batch_submitting ON batch (submitting);
