-- No question is asked by these, and each was a tenth of the work for every row.
DROP INDEX requests_by_tenant;
DROP INDEX requests_by_parent;
DROP INDEX requests_by_time;
