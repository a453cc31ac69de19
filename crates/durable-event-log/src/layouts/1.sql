-- A database of version 0.1: three segments and an idempotency key table. Do not change this file: such databases exist.
-- A later layout needs its own file, and this one must remain readable.
CREATE TABLE "dei_events_1767225599999999_first" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT);
INSERT INTO "dei_events_1767225599999999_first" VALUES (1767225600000000, 1, 7, '{"n":1}', NULL, NULL, NULL);
INSERT INTO "dei_events_1767225599999999_first" VALUES (1767225600000001, 2, 54, '{"at":"1970-01-01T00:00:00.000Z"}', '[[1,"at"]]', '"retry":5', NULL);
CREATE TABLE "dei_events_1767225600000001" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT);
INSERT INTO "dei_events_1767225600000001" VALUES (1767225750000000, 1, 7, '{"n":3}', NULL, NULL, NULL);
CREATE TABLE "dei_events_1767225750000000" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT);
CREATE TABLE "dei_keys_1767225600000000" (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "dei_keys_1767225600000000" VALUES ('order-17-paid', 1767225750000000);
