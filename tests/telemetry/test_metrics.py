"""Metrics arrive at a real listener, through Airflow's own loggers of statistics, with the labels of the table."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from airflow.observability import stats as of_components
from airflow.sdk._shared.observability.metrics import stats as of_tasks
from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger

from sluicegate.faults import fault
from sluicegate.graph.window import Window
from sluicegate.runtime.step import StepResult
from sluicegate.telemetry import metrics
from sluicegate.telemetry.metrics import count, gauge
from tests.telemetry.steps import DAY, FACTS, run


class Listener:
    """StatsD, as far as it listens."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)  # what was sent is there: it is one machine
        self.port: int = self._socket.getsockname()[1]

    def heard(self) -> list[str]:
        """All datagrams until now."""
        found = []
        try:
            while True:
                found.append(self._socket.recv(65_536).decode())
        except TimeoutError:
            return found

    def close(self) -> None:
        self._socket.close()


class Client:
    """What Airflow calls of the package `statsd`, on a real socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to = ("127.0.0.1", port)

    def incr(self, stat: str, count: int = 1, rate: float = 1) -> None:
        self._socket.sendto(f"airflow.{stat}:{count}|c".encode(), self._to)

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False) -> None:
        self._socket.sendto(f"airflow.{stat}:{value}|g".encode(), self._to)


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Listener]]:
    listener = Listener()
    _reset()  # other tests run tasks, for which Airflow sets its statistics up

    def start(module: Any = of_tasks, *, influxdb: bool = False) -> Listener:
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", str(influxdb))
        logger = SafeStatsdLogger(
            Client(listener.port), influxdb_tags_enabled=influxdb, statsd_influxdb_enabled=influxdb
        )
        metrics._backend.cache_clear()
        module.initialize(factory=lambda: logger, export_legacy_names=False)
        return listener

    yield start
    listener.close()
    _reset()


def _reset() -> None:
    from airflow._shared.observability.metrics import stats as core

    metrics._backend.cache_clear()
    for module in (of_tasks, core):
        module._factory = module._backend = None


def test_without_tags_the_labels_are_parts_of_the_name(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    count("rows", {"pipeline": "orders", "step": "eu.load", "outcome": "inserted"}, 12)
    gauge("window_end", {"pipeline": "orders", "step": "load"}, 1_700_000_000.0)
    assert listener.heard() == [
        "airflow.sluicegate.rows.orders.eu__load.inserted:12|c",
        "airflow.sluicegate.window_end.orders.load:1700000000.0|g",
    ]


def test_with_tags_they_are_tags(statsd: Callable[..., Listener]) -> None:
    listener = statsd(influxdb=True)
    count("alerts", {"pipeline": "orders", "channel": "on_call", "outcome": "sent"})
    assert listener.heard() == ["airflow.sluicegate.alerts,pipeline=orders,channel=on_call,outcome=sent:1|c"]


def test_a_tag_for_which_airflow_would_drop_the_number_has_other_characters(statsd: Callable[..., Listener]) -> None:
    listener = statsd(influxdb=True)
    count("dead_letters", {"pipeline": "orders", "step": "eu.load", "rule": "unique:a,b=c"}, 2)
    assert listener.heard() == ["airflow.sluicegate.dead_letters,pipeline=orders,step=eu.load,rule=unique_a_b_c:2|c"]


def test_a_name_that_airflow_would_drop_is_sent_with_other_characters(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    count("circuits", {"circuit": "host:api.partner.com:8443/ä", "change": "opened"})
    assert listener.heard() == ["airflow.sluicegate.circuits.host_api__partner__com_8443__.opened:1|c"]


def test_outside_a_task_airflows_other_module_sends(statsd: Callable[..., Listener]) -> None:
    listener = statsd(of_components)
    count("clusters", {"pipeline": "orders", "step": "job"})
    assert listener.heard() == ["airflow.sluicegate.clusters.orders.job:1|c"]


def test_where_airflows_metrics_are_off_nothing_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics._backend.cache_clear()
    monkeypatch.setattr(metrics, "_send", lambda *_, **__: pytest.fail("sent"))
    count("clusters", {"pipeline": "orders", "step": "job"})
    _reset()


def test_zero_is_not_sent(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    count("rows", {"pipeline": "orders", "step": "load", "outcome": "stale"}, 0)
    assert listener.heard() == []


def test_what_is_not_in_the_table_is_an_error_whether_metrics_are_on_or_not() -> None:
    for call in (
        lambda: count("row", {"pipeline": "orders"}),
        lambda: count("rows", {"pipeline": "orders"}),
        lambda: gauge("rows", {"pipeline": "orders", "step": "load", "outcome": "read"}, 1),
    ):
        with pytest.raises(KeyError):
            call()


def test_a_server_that_is_gone_stops_no_step(statsd: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    statsd()

    def gone() -> Any:
        raise OSError("gone")

    monkeypatch.setattr(metrics, "_statistics", gone)
    count("clusters", {"pipeline": "orders", "step": "job"})


def test_opentelemetry_gets_the_labels_as_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.observability.metrics.otel_logger import SafeOtelLogger
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/metrics")
    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter, 3_600_000)])
    monkeypatch.setenv("AIRFLOW__METRICS__OTEL_ON", "True")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "False")
    metrics._backend.cache_clear()
    of_tasks.initialize(factory=lambda: SafeOtelLogger(provider), export_legacy_names=False)
    try:
        count("rows", {"pipeline": "orders", "step": "load", "outcome": "inserted"}, 12)
        provider.force_flush()
    finally:
        provider.shutdown()
        server.shutdown()
        server.server_close()
        _reset()
    [metric] = [
        metric
        for body in bodies
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "airflow.sluicegate.rows"
    ][:1]
    [point] = metric.sum.data_points
    assert (point.as_int or point.as_double) == 12
    attributes = {each.key: each.value.string_value for each in point.attributes}
    assert attributes == {"pipeline": "orders", "step": "load", "outcome": "inserted"}


def numbers(heard: list[str]) -> dict[str, str]:
    found = dict(line.removeprefix("airflow.sluicegate.").split(":") for line in heard)
    found.pop("milliseconds.orders.load.all", None)
    return found


def test_a_steps_facts_become_numbers(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    run(result=StepResult(facts=FACTS))
    assert numbers(listener.heard()) == {
        "tries.orders.load.succeeded": "1|c",
        "milliseconds.orders.load.stage": "250|c",
        "milliseconds.orders.load.apply": "1500|c",
        "clusters.orders.load": "1|c",
        "cluster_seconds.orders.load": "61|c",
        "rows.orders.load.read": "9|c",
        "rows.orders.load.inserted": "7|c",
        "rows.orders.load.dead": "2|c",
        "rows.orders.load.resolved": "1|c",
        "dead_letters.orders.load.required_tailnum": "2|c",
        "window_end.orders.load": f"{DAY.end.timestamp()}|g",
    }


def test_a_load_that_was_done_already_counts_no_rows_again(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    run(result=StepResult(facts={**FACTS, "status": "skipped", "clusters": []}))
    assert not [name for name in numbers(listener.heard()) if name.startswith(("rows", "dead_letters"))]


def test_a_failed_step_counts_its_fault_and_what_it_had_read(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    run(error=fault("TOO_MANY_DEAD_LETTERS", "5 of 5"))
    assert numbers(listener.heard()) == {
        "tries.orders.load.failed": "1|c",
        "faults.orders.load.TOO_MANY_DEAD_LETTERS.data": "1|c",
        "rows.orders.load.read": "5|c",
        "rows.orders.load.dead": "5|c",
        "dead_letters.orders.load.type_amount": "5|c",
    }


def test_a_window_long_past_does_not_make_the_data_older(statsd: Callable[..., Listener]) -> None:
    listener = statsd()
    run(Window(DAY.start - timedelta(days=30), DAY.end - timedelta(days=30)), result=StepResult())
    assert not [name for name in numbers(listener.heard()) if name.startswith("window_end")]
