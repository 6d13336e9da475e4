"""A stand-in for the extension `aws_s3`: functions of the signatures that AWS documents, which COPY the same objects
out of the folder in which the local S3 keeps them.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

__all__ = ["make_extension"]

EXTENSION = """
CREATE SCHEMA aws_commons;
CREATE TYPE aws_commons._s3_uri_1 AS (bucket text, file_path text, region text);
CREATE FUNCTION aws_commons.create_s3_uri(s3_bucket text, s3_key text, aws_region text) RETURNS aws_commons._s3_uri_1
    LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, $2, $3)::aws_commons._s3_uri_1';
CREATE SCHEMA aws_s3;
CREATE FUNCTION aws_s3.table_import_from_s3(
    table_name text, column_list text, options text, s3_info aws_commons._s3_uri_1
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    own_file text := {root} || '/' || s3_info.bucket || '/' || s3_info.file_path;
    own_count bigint;
    own_size bigint := (pg_stat_file(own_file, true)).size;
BEGIN
    IF s3_info.region IS DISTINCT FROM 'us-east-1' THEN
        RAISE EXCEPTION 'HTTP 301. The bucket is in another Region' USING ERRCODE = 'XX000';
    ELSIF own_size IS NULL THEN
        RAISE EXCEPTION 'HTTP 404. File not found: https://s3/%?X-Amz-Signature=secret', s3_info.file_path
            USING ERRCODE = 'XX000';
    END IF;
    EXECUTE format('copy %s (%s) from %L with %s', table_name, column_list, own_file, options);
    GET DIAGNOSTICS own_count = ROW_COUNT;
    RETURN format('%s rows imported into relation "%s" from file %s of %s bytes', own_count, table_name,
                  s3_info.file_path, own_size);
END $$;
"""


def make_extension(conninfo: str, root: Path) -> None:
    """:param root: where the S3 keeps its buckets"""
    with psycopg.connect(conninfo) as connection:
        connection.execute(sql.SQL(EXTENSION).format(root=sql.Literal(str(root))))
