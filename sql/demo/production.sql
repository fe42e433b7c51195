-- The production of `highwater demo`: a small identity server, with what makes copying one less than
-- trivial. {serial} {bytes} {real} {any} {name} {rowless} stand for what the engines call differently.

CREATE TABLE users (
    user_id       {serial},
    user_name     {name} NOT NULL UNIQUE,
    email         {name} UNIQUE,
    password_hash {bytes} NOT NULL,
    reputation    {real} NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE TABLE roles (
    role_id   BIGINT NOT NULL PRIMARY KEY,
    role_name {name} NOT NULL UNIQUE
);

CREATE TABLE user_roles (
    user_id    BIGINT NOT NULL,
    role_id    BIGINT NOT NULL,
    granted_by TEXT,
    PRIMARY KEY (user_id, role_id),
    FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    FOREIGN KEY (role_id) REFERENCES roles (role_id)
){rowless};

-- On SQLite a claim is an integer, a real, a text or a blob, each row as it likes.
CREATE TABLE user_claims (
    user_id BIGINT NOT NULL,
    claim   {name} NOT NULL,
    value   {any},
    PRIMARY KEY (user_id, claim),
    FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
);

CREATE TABLE oauth_tokens (
    token_id     {name} NOT NULL PRIMARY KEY,
    user_id      BIGINT NOT NULL,
    access_token {name} NOT NULL UNIQUE,
    state        TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
);

CREATE INDEX oauth_tokens_of_user ON oauth_tokens (user_id);

CREATE TABLE sessions (
    session_key {name} NOT NULL PRIMARY KEY,
    user_id     BIGINT NOT NULL,
    last_seen   {real} NOT NULL,
    attributes  {bytes},
    FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
);

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE registry (
    path       {name} NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    content    {bytes} NOT NULL,
    version    BIGINT NOT NULL
);

-- Each node of the server says here that it is alive.
CREATE TABLE nodes (
    node    {name} NOT NULL PRIMARY KEY,
    beat_at {real} NOT NULL
);

-- No key, and the same row twice is legal.
CREATE TABLE audit (
    happened_at BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL
);
