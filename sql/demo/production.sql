-- The production of `highwater demo`: a small identity server, with what makes copying one less than
-- trivial. {serial} {bytes} {real} {any} {rowless} stand for what the engines call differently.

CREATE TABLE users (
    user_id       {serial},
    user_name     TEXT NOT NULL UNIQUE,
    email         TEXT UNIQUE,
    password_hash {bytes} NOT NULL,
    reputation    {real} NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE TABLE roles (
    role_id   BIGINT NOT NULL PRIMARY KEY,
    role_name TEXT NOT NULL UNIQUE
);

CREATE TABLE user_roles (
    user_id    BIGINT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    role_id    BIGINT NOT NULL REFERENCES roles (role_id),
    granted_by TEXT,
    PRIMARY KEY (user_id, role_id)
){rowless};

-- On SQLite a claim is an integer, a real, a text or a blob, each row as it likes.
CREATE TABLE user_claims (
    user_id BIGINT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    claim   TEXT NOT NULL,
    value   {any},
    PRIMARY KEY (user_id, claim)
);

CREATE TABLE oauth_tokens (
    token_id     TEXT NOT NULL PRIMARY KEY,
    user_id      BIGINT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    access_token TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE INDEX oauth_tokens_of_user ON oauth_tokens (user_id);

CREATE TABLE sessions (
    session_key TEXT NOT NULL PRIMARY KEY,
    user_id     BIGINT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    last_seen   {real} NOT NULL,
    attributes  {bytes}
);

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE registry (
    path       TEXT NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    content    {bytes} NOT NULL,
    version    BIGINT NOT NULL
);

-- Each node of the server says here that it is alive.
CREATE TABLE nodes (
    node    TEXT NOT NULL PRIMARY KEY,
    beat_at {real} NOT NULL
);

-- No key, and the same row twice is legal.
CREATE TABLE audit (
    happened_at BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL
);
