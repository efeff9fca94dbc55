-- Only what every database here understands: TEXT, BIGINT, DOUBLE PRECISION; flags are 0 or 1, times epoch
-- milliseconds, hashes hex, objects JSON that SQL never looks into. Each row says whose it is.

CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY,
  created_at BIGINT NOT NULL,
  -- Limits and budget of the tenant.
  settings TEXT NOT NULL
);

CREATE TABLE keys (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  -- The first characters of the key, for people.
  prefix TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  -- What the key was before its last rotation, and until when that is still good.
  previous_hash TEXT UNIQUE,
  previous_until BIGINT,
  role TEXT NOT NULL,
  -- Models, limits, budget and the best place in a queue.
  settings TEXT NOT NULL,
  -- first_start or created.
  origin TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  rotated_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX keys_by_tenant ON keys (tenant, id);

-- Counts changes, so that every process hears of them by one small question.
CREATE TABLE versions (
  subject TEXT NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL
);
INSERT INTO versions (subject, version) VALUES ('keys', 0);

-- From `user` or `safety_identifier` of a request, within the key that sent it.
CREATE TABLE users (
  tenant TEXT NOT NULL,
  key_id TEXT NOT NULL,
  id TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (tenant, key_id, id)
);

-- From `x-citadel-session`.
CREATE TABLE sessions (
  tenant TEXT NOT NULL,
  key_id TEXT NOT NULL,
  id TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (tenant, key_id, id)
);

-- One row a request: its line in the log, its usage and its entry in the ledger. An attempt that failed and cost the
-- operator something has a row of its own, with the request as its parent.
CREATE TABLE requests (
  id TEXT NOT NULL PRIMARY KEY,
  parent TEXT,
  tenant TEXT NOT NULL,
  key_id TEXT NOT NULL,
  user_id TEXT,
  session_id TEXT,
  address TEXT NOT NULL,
  -- UTC, as 2027-01-31: what usage is summed by.
  day TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  method TEXT NOT NULL,
  route TEXT NOT NULL,
  status BIGINT NOT NULL,
  code TEXT,
  -- ok denied cancelled failed failover recovered interrupted hit coalesced lost
  outcome TEXT NOT NULL,
  stream BIGINT NOT NULL,
  cache TEXT,
  model TEXT,
  server TEXT,
  upstream_model TEXT,
  -- How many there were, and what each did.
  attempts BIGINT NOT NULL,
  attempt_list TEXT NOT NULL,
  recovered BIGINT NOT NULL,
  queue_ms DOUBLE PRECISION,
  first_token_ms DOUBLE PRECISION,
  -- Disjoint classes, but reasoning is a part of output.
  input_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  estimated BIGINT NOT NULL,
  saved_tokens BIGINT NOT NULL,
  -- Billionths of a US dollar; null where the price is not known. What the caller is charged, what answering it cost
  -- the operator besides, and what the cache saved.
  cost_nano BIGINT,
  extra_cost_nano BIGINT,
  saved_nano BIGINT,
  -- The row of `audit` that seals it.
  batch TEXT
);
CREATE INDEX requests_by_tenant ON requests (tenant, started_at, id);
CREATE INDEX requests_by_key ON requests (tenant, key_id, day);
CREATE INDEX requests_by_parent ON requests (parent);
CREATE INDEX requests_by_time ON requests (started_at);

-- Append-only; each process start writes a chain of its own, in which each row has the hash of the one before.
CREATE TABLE audit (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  at BIGINT NOT NULL,
  -- authentication limit error health administration batch checkpoint
  kind TEXT NOT NULL,
  action TEXT NOT NULL,
  actor TEXT,
  address TEXT,
  request_id TEXT,
  subject TEXT,
  outcome TEXT NOT NULL,
  code TEXT,
  detail TEXT NOT NULL,
  chain TEXT NOT NULL,
  seq BIGINT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL,
  UNIQUE (chain, seq)
);
CREATE INDEX audit_by_tenant ON audit (tenant, at, id);
CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE servers (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  base_url TEXT NOT NULL,
  status TEXT NOT NULL,
  -- What it said of itself: models, capabilities, role, weights.
  settings TEXT NOT NULL,
  -- Its last heartbeat: response time, CPU, error rate, queue.
  load TEXT NOT NULL,
  registered_by TEXT NOT NULL,
  registered_at BIGINT NOT NULL,
  heartbeat_at BIGINT NOT NULL,
  expires_at BIGINT,
  removed_at BIGINT,
  version BIGINT NOT NULL
);

CREATE TABLE events (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  at BIGINT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT,
  -- Where it came from, and the sender's own id, so that an event which is sent twice is one.
  source TEXT NOT NULL,
  source_id TEXT NOT NULL,
  payload TEXT NOT NULL,
  UNIQUE (source, source_id)
);
CREATE INDEX events_by_tenant ON events (tenant, at, id);
CREATE INDEX events_by_time ON events (at);
