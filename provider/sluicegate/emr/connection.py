"""An Airflow connection to AWS as boto3 clients. Import it where a task runs, never where a DAG is parsed."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from sluicegate.faults import FaultError, classify, fault

__all__ = ["Aws"]

_CONNECT_TIMEOUT, _READ_TIMEOUT = 10, 60


class Aws:
    """One connection, resolved once: all its clients share a session, whose making is the slow part.

    :raises FaultError: CONNECTION_MISSING for a connection that does not exist. Airflow's own hook would
        go on with whatever credentials it finds, which may be those of another account.
    """

    def __init__(self, aws_conn_id: str | None) -> None:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

        try:
            # Only the hook needs the type.
            self._hook = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="emr")
            if aws_conn_id and self._hook.conn_config.conn_id != aws_conn_id:
                detail = f"there is no connection {aws_conn_id!r}"
                raise fault("CONNECTION_MISSING", detail, connection=aws_conn_id)
            self._session = self._hook.get_session()
        except FaultError:
            raise
        except Exception as error:
            raise classify(error) from error

    def client(self, service: str, *, attempts: int) -> Any:
        """A boto3 client that makes each call up to `attempts` times, with growing pauses."""
        hook = self._hook
        config = Config(
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        try:
            return self._session.client(
                service,
                endpoint_url=hook.conn_config.get_service_endpoint_url(service),
                config=hook.config.merge(config),
                verify=hook.verify,
            )
        except Exception as error:
            raise classify(error) from error
