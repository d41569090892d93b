"""What a store of claims holds: one SQLite file that needs nothing beside it.

    images          images by the name of their pixels (`vapo.core.image_names`), as they are sent to models
    subjects        what claims are about: one image, or several in an order; `key` names them
    subject_images  a subject's images, positions from 0
    rows            where a subject came from: a row or a file of a data set; several rows may show the same subject
    workers         the processes that make claims; each holds the subjects it works on, so that no other does
    requests        what was asked of a model about a subject, attempt by attempt from 1
    answers         what came back, byte for byte, and what it cost
    spending        what all answers cost together, so that nobody has to add them up
    claims          every claim that was read in an answer, written by a program or imported; `rejected_for` is why a
                    filter left it out, NULL for those that are kept
    row_claims      which claims an imported row had, in order; beside these it has all that were made, like any row
    audits          what another model says of a claim
    marks           what a person says of a claim; `text` and `is_true` are what the claim should read instead

Claims are never changed once they are written: whoever disagrees adds a mark. Times are seconds since 1970, money is
US dollars; labels are 0 and 1.
"""

from __future__ import annotations

APPLICATION_ID = 0x7661706F
"""Marks an SQLite file as a store of ours: "vapo" in ASCII."""

VERSION = 1
"""Of the tables below. A store of a newer version is refused."""

TABLES = """
CREATE TABLE images (
    name TEXT NOT NULL UNIQUE,
    width INTEGER NOT NULL,   -- of the image as it came, upright; what is sent may be smaller
    height INTEGER NOT NULL,
    media_type TEXT NOT NULL, -- of `content`: image/png or image/jpeg
    content BLOB NOT NULL
);
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    worker INTEGER REFERENCES workers (id) ON DELETE SET NULL
);
CREATE INDEX subjects_of_worker ON subjects (worker) WHERE worker IS NOT NULL;
CREATE TABLE subject_images (
    subject INTEGER NOT NULL REFERENCES subjects (id),
    position INTEGER NOT NULL,
    image TEXT NOT NULL REFERENCES images (name),
    PRIMARY KEY (subject, position)
) WITHOUT ROWID;
CREATE INDEX subjects_of_image ON subject_images (image);
CREATE TABLE rows (
    source TEXT NOT NULL,      -- the data set or folder
    name TEXT NOT NULL,        -- the row's id, or the file's path in the folder
    stamp TEXT NOT NULL, -- changes when the row's images may have; '' where that is not known
    subject INTEGER NOT NULL REFERENCES subjects (id),
    PRIMARY KEY (source, name)
);
CREATE INDEX rows_of_subject ON rows (subject);
CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    process TEXT NOT NULL,     -- its number and when it began, as numbers are used again
    beat REAL NOT NULL,        -- when it last said that it is alive
    reserved_tokens INTEGER NOT NULL DEFAULT 0, -- what its requests under way may still cost
    reserved_usd REAL NOT NULL DEFAULT 0
);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL REFERENCES subjects (id),
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'answered', 'read', 'failed')), -- read: its claims are in `claims`
    model TEXT NOT NULL,
    server TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    instruction TEXT NOT NULL,
    options TEXT NOT NULL,     -- JSON: temperature, seed and the like
    num_true INTEGER NOT NULL, -- how many claims were asked for
    num_false INTEGER NOT NULL,
    asked_at REAL NOT NULL,
    trouble TEXT               -- why no answer came, or why no claim could be read in it
);
CREATE UNIQUE INDEX requests_of_subject ON requests (subject, attempt);
CREATE INDEX requests_by_state ON requests (state) WHERE state IN ('asked', 'answered', 'failed');
CREATE TABLE answers (
    request INTEGER PRIMARY KEY REFERENCES requests (id),
    received_at REAL NOT NULL,
    seconds REAL NOT NULL,     -- from the request to its answer, retries included
    body BLOB NOT NULL,        -- as received
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    usd REAL NOT NULL
);
CREATE TABLE spending (
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    usd REAL NOT NULL
);
INSERT INTO spending VALUES (0, 0, 0.0);
CREATE TRIGGER spend AFTER INSERT ON answers BEGIN UPDATE spending SET prompt_tokens = prompt_tokens +
    NEW.prompt_tokens, completion_tokens = completion_tokens + NEW.completion_tokens, usd = usd + NEW.usd; END;
CREATE TABLE claims (
    id INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL REFERENCES subjects (id),
    request INTEGER REFERENCES requests (id), -- NULL: not from a model's answer
    maker TEXT NOT NULL,       -- the model, the program or the file that it is from
    text TEXT NOT NULL,
    is_true INTEGER NOT NULL CHECK (is_true IN (0, 1)),
    kind TEXT NOT NULL,
    rejected_for TEXT
);
CREATE INDEX claims_of_subject ON claims (subject);
CREATE TABLE row_claims (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    claim INTEGER REFERENCES claims (id), -- NULL: it had none
    PRIMARY KEY (source, name, position),
    FOREIGN KEY (source, name) REFERENCES rows (source, name)
) WITHOUT ROWID;
CREATE INDEX rows_of_claim ON row_claims (claim);
CREATE TABLE audits (
    id INTEGER PRIMARY KEY,
    claim INTEGER NOT NULL REFERENCES claims (id),
    auditor TEXT NOT NULL,
    question TEXT NOT NULL,    -- which question it was: label, visual, answerable, blind, ...
    verdict TEXT NOT NULL,
    p_true REAL,               -- where the auditor gave a probability
    body BLOB NOT NULL,        -- its answer as received
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    usd REAL NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX audits_of_claim ON audits (claim);
CREATE TABLE marks (
    id INTEGER PRIMARY KEY,
    claim INTEGER NOT NULL REFERENCES claims (id),
    reviewer TEXT NOT NULL,
    mark TEXT NOT NULL CHECK (mark IN ('right', 'wrong', 'unclear')),
    text TEXT,
    is_true INTEGER CHECK (is_true IN (0, 1)),
    at REAL NOT NULL
);
CREATE INDEX marks_of_claim ON marks (claim);
"""
