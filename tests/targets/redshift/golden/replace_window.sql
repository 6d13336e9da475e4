CREATE TABLE "sales"."orders" ("id" bigint, "Item" varchar(65535), "n" numeric(12,2), "at" timestamptz, "u" varchar(65535), "d" double precision, "c" char(2), "j" super, "b" boolean, "h" time);
ALTER TABLE "sales"."orders" ADD COLUMN "late" numeric(12,2);
SELECT count(*) FROM "sales"."orders" WHERE "at" >= '2026-01-01' AND "at" < '2026-01-02' AND ("c" IN ('A''' || chr(92) || '') OR "c" IS NULL) AND ("id" IN ('1', '2'));
DELETE FROM "sales"."orders" WHERE "at" >= '2026-01-01' AND "at" < '2026-01-02' AND ("c" IN ('A''' || chr(92) || '') OR "c" IS NULL) AND ("id" IN ('1', '2'));
CREATE TEMPORARY TABLE sluicegate_copied ("id" bigint, "Item" varchar(65535), "n" numeric(12,2), "at" timestamp, "u" varchar(65535), "d" double precision, "c" char(2), "j" varchar(65535), "b" boolean, "h" varchar(65535));
CREATE TEMPORARY TABLE sluicegate_stage ("id" bigint, "Item" varchar(65535), "n" numeric(12,2), "at" timestamptz, "u" varchar(65535), "d" double precision, "c" char(2), "j" super, "b" boolean, "h" time, sluicegate_fate varchar(9));
COPY sluicegate_copied FROM 's3://stage/x-' IAM_ROLE 'arn:aws:iam::1:role/load' FORMAT AS PARQUET MANIFEST;
INSERT INTO sluicegate_stage ("id", "Item", "n", "at", "u", "d", "c", "j", "b", "h", sluicegate_fate) SELECT "id", "Item", "n", ("at" AT TIME ZONE 'UTC'), "u", "d", "c", json_parse("j"), "b", CAST("h" AS time), 'inserted' FROM sluicegate_copied;
INSERT INTO "sales"."orders" ("id", "Item", "n", "at", "u", "d", "c", "j", "b", "h") SELECT s."id", s."Item", s."n", s."at", s."u", s."d", s."c", s."j", s."b", s."h" FROM sluicegate_stage AS s WHERE s.sluicegate_fate = 'inserted';
