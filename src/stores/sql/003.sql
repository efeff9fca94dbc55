-- Who delivers events to a webhook, and up to which event that is done.
CREATE TABLE cursors (
  webhook TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  until BIGINT NOT NULL,
  after_id TEXT NOT NULL
);

-- Processes that still have requests at a server which is failed over.
CREATE TABLE failover_holds (
  server TEXT NOT NULL,
  owner TEXT NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (server, owner)
);

CREATE INDEX events_by_type ON events (type, id);

-- The last good answer of each server to a probe of any process.
CREATE TABLE probes (
  server TEXT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  latency_ms DOUBLE PRECISION NOT NULL
);
