-- Money of one key or tenant in one day or month, in billionths of a US dollar.
CREATE TABLE budgets (
  account TEXT NOT NULL,
  tenant TEXT NOT NULL,
  period TEXT NOT NULL,
  spent BIGINT NOT NULL,
  held BIGINT NOT NULL,
  PRIMARY KEY (account, period)
);

-- What is set aside for a request that is under way; given back when it is settled, or when its time is over.
CREATE TABLE holds (
  request TEXT NOT NULL,
  account TEXT NOT NULL,
  tenant TEXT NOT NULL,
  period TEXT NOT NULL,
  nano BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (request, account, period)
);
CREATE INDEX holds_by_time ON holds (expires_at);

INSERT INTO versions (subject, version) VALUES ('ledger', 0);

-- Who does for a while what only one process has to do.
CREATE TABLE leases (
  subject TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  until BIGINT NOT NULL
);
