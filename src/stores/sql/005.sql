-- Was added to the third step after there were databases that had taken it. A table that is missing closes all connections.
CREATE TABLE IF NOT EXISTS probes (
  server TEXT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  latency_ms DOUBLE PRECISION NOT NULL
);
