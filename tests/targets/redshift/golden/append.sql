CREATE TABLE "sales"."orders" ("id" bigint, "Item" varchar(65535), "n" numeric(12,2), "at" timestamptz, "u" varchar(36), "d" double precision, "c" char(2));
CREATE TEMPORARY TABLE sluicegate_stage ("id" bigint, "Item" varchar(65535), "n" numeric(12,2), "at" timestamptz, "u" varchar(36), "d" double precision, "c" char(2), sluicegate_fate varchar(9));
COPY sluicegate_stage ("id", "Item", "n", "at", "u", "d", "c") FROM 's3://stage/x.parquet' IAM_ROLE 'arn:aws:iam::1:role/o''load' FORMAT AS PARQUET;
UPDATE sluicegate_stage SET sluicegate_fate = 'inserted';
SELECT sluicegate_fate, count(*) FROM sluicegate_stage GROUP BY sluicegate_fate;
INSERT INTO "sales"."orders" ("id", "Item", "n", "at", "u", "d", "c") SELECT s."id", s."Item", s."n", s."at", s."u", s."d", s."c" FROM sluicegate_stage AS s WHERE s.sluicegate_fate = 'inserted';
