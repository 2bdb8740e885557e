CREATE TABLE budget (
    scope TEXT PRIMARY KEY,
    limit_tokens INTEGER, limit_pico INTEGER,
    opening_tokens INTEGER NOT NULL DEFAULT 0, opening_pico INTEGER NOT NULL DEFAULT 0,
    settled_tokens INTEGER NOT NULL DEFAULT 0, settled_pico INTEGER NOT NULL DEFAULT 0,
    unknown_tokens INTEGER NOT NULL DEFAULT 0 CHECK (unknown_tokens >= 0),
    unknown_pico INTEGER NOT NULL DEFAULT 0 CHECK (unknown_pico >= 0),
    reserved_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0),
    reserved_pico INTEGER NOT NULL DEFAULT 0 CHECK (reserved_pico >= 0)
) WITHOUT ROWID;

CREATE TABLE owner (
    id TEXT PRIMARY KEY, pid INTEGER NOT NULL, began_at TEXT NOT NULL, ended_at TEXT
) WITHOUT ROWID;

CREATE INDEX owner_living ON owner (id) WHERE ended_at IS NULL;

CREATE TABLE run (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL REFERENCES owner (id),
    began_at TEXT NOT NULL, ended_at TEXT
) WITHOUT ROWID;

CREATE TABLE request (
    key TEXT PRIMARY KEY, form BLOB
);

CREATE TABLE attempt (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    request_key TEXT NOT NULL REFERENCES request (key),
    run TEXT NOT NULL REFERENCES run (id),
    owner TEXT NOT NULL REFERENCES owner (id),
    chapter TEXT NOT NULL, section INTEGER NOT NULL, purpose TEXT NOT NULL,
    language TEXT NOT NULL, plan TEXT NOT NULL, model TEXT NOT NULL,
    scopes TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('reserved', 'sent', 'settled', 'released', 'unknown', 'reconciled')),
    prompt_estimate INTEGER NOT NULL, output_cap INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL CHECK (reserved_tokens >= 0), reserved_pico INTEGER,
    prompt INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
    completion INTEGER NOT NULL DEFAULT 0, reasoning INTEGER NOT NULL DEFAULT 0,
    usage_source TEXT CHECK (usage_source IN ('provider', 'reservation', 'reconciled')),
    cost_pico INTEGER,
    failure TEXT, status INTEGER, message TEXT NOT NULL DEFAULT '',
    finish TEXT, answered_by TEXT NOT NULL DEFAULT '',
    provider_request_id TEXT NOT NULL DEFAULT '',
    reserved_at TEXT NOT NULL, sent_at TEXT, ended_at TEXT
);

CREATE UNIQUE INDEX attempt_live ON attempt (request_key)
    WHERE state IN ('reserved', 'sent');

CREATE INDEX attempt_live_model ON attempt (model) WHERE state IN ('reserved', 'sent');

CREATE INDEX attempt_live_owner ON attempt (owner) WHERE state IN ('reserved', 'sent');

CREATE INDEX attempt_unknown ON attempt (request_key) WHERE state = 'unknown';

CREATE INDEX attempt_place ON attempt (chapter, section);

CREATE INDEX attempt_rate ON attempt (model, reserved_at);

CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    attempt TEXT NOT NULL REFERENCES attempt (id),
    state TEXT NOT NULL, at TEXT NOT NULL, detail TEXT NOT NULL DEFAULT ''
);

CREATE INDEX event_attempt ON event (attempt);

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE (ABORT, 'the history of an attempt is never changed'); END;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
    BEGIN SELECT RAISE (ABORT, 'the history of an attempt is never deleted'); END;

CREATE TABLE answer (
    request_key TEXT PRIMARY KEY REFERENCES request (key),
    attempt TEXT NOT NULL REFERENCES attempt (id),
    text TEXT, sha256 TEXT NOT NULL, finish TEXT NOT NULL, model TEXT NOT NULL
);

CREATE TABLE question (
    key TEXT PRIMARY KEY, request_key TEXT NOT NULL REFERENCES request (key)
) WITHOUT ROWID;

CREATE TABLE pause (model TEXT PRIMARY KEY, until TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE edition (
    chapter TEXT NOT NULL, section INTEGER NOT NULL, number INTEGER NOT NULL,
    instruction TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (chapter, section)
) WITHOUT ROWID;
