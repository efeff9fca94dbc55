-- No question is asked by these, and each was a tenth of the work for every row.
DROP INDEX IF EXISTS requests_by_tenant;
DROP INDEX IF EXISTS requests_by_parent;
DROP INDEX IF EXISTS requests_by_time;
