"""The compose file, checked without an engine: by a parser, and against the code that it names."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from sluicegate.local.aws import server
from sluicegate.local.stack import airflow, postgres
from sluicegate.local.stack.state import Ports, Secrets, State

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
STATE = "/var/lib/sluicegate"
NOT_SECRET = {"COMPOSE_PROFILES"}

Services = dict[str, dict[str, Any]]
Env = dict[str, str]


# ---- .env ----


def test_the_documented_script_sets_every_secret_and_nothing_unknown(compose: Any, env: Env) -> None:
    assert set(env) - NOT_SECRET == compose.variables(optional=False)
    assert env["COMPOSE_PROFILES"] == "local"


def test_the_secrets_are_random_and_for_their_owner_alone(
    generated: Any, generate: Callable[[Path], Any], tmp_path: Path
) -> None:
    assert stat.S_IMODE(generated.file.stat().st_mode) == 0o600
    first, second = generated.values, generate(tmp_path).values
    secrets = set(first) - NOT_SECRET
    assert not [name for name in secrets if first[name] == second[name]]
    assert len({first[name] for name in secrets}) == len(secrets)
    assert min(len(first[name]) for name in secrets) >= 32


def test_the_script_never_replaces_the_secrets_of_existing_databases(
    generate: Callable[[Path], Any], tmp_path: Path
) -> None:
    before = generate(tmp_path).values
    again = generate(tmp_path)
    assert again.status != 0
    assert "File exists" in again.errors
    assert again.values == before


def test_the_generated_keys_are_what_airflow_takes(env: Env) -> None:
    Fernet(env["AIRFLOW_FERNET_KEY"])
    assert len(env["AIRFLOW_JWT_SECRET"]) >= 64  # HS512 wants as many bytes as its hash has


def test_every_variable_is_documented(compose: Any, doc: str) -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", doc, re.MULTILINE))
    assert documented == compose.variables(optional=False) | compose.variables(optional=True) | NOT_SECRET


def test_nothing_starts_without_a_secret(compose: Any, env: Env) -> None:
    needed = compose.variables(optional=False)
    assert len(needed) == 10
    for name in needed:
        others = {other: value for other, value in env.items() if other != name}
        for left in (others, others | {name: ""}):
            with pytest.raises(KeyError, match=rf"{name}: set it in \.env, see docs/compose\.md"):
                compose.read(left)


def test_no_password_stands_in_the_file(compose: Any) -> None:
    text = compose.without_variables()
    named = re.findall(r"^ *\w*(?:PASSWORD|SECRET|SECRET_KEY|FERNET_KEY|LOCAL_KEY): *(.*)$", text, re.MULTILINE)
    assert len(named) == 10
    assert not [value for value in named if value]
    assert re.findall(r"://\w+:([^@/\s]*)@", text) == [""]
    assert re.findall(r'"password": "([^"]*)"', text) == [""]


# ---- the file ----


def test_it_is_a_compose_file(root: Path) -> None:
    command = [
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(root / "docker-compose.yaml"),
    ]
    checked = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_runs_what_the_embedded_stack_runs(services: Services) -> None:
    assert set(airflow.COMMANDS) == set(AIRFLOW)
    for name, arguments in airflow.COMMANDS.items():
        assert services[name]["command"] == ["airflow", *arguments]
    assert set(services) == {*AIRFLOW, "postgres", "init", "tasks", "aws"}
    assert [name for name, service in services.items() if "profiles" in service] == ["aws"]


def test_every_service_is_watched_and_started_again(services: Services) -> None:
    for name, service in services.items():
        if name == "init":  # it ends, and whether it ended well is what the others wait for
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        check = service["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries", "start_period", "start_interval"} < set(check), name


def test_services_wait_for_what_they_need(services: Services) -> None:
    for name in AIRFLOW:
        assert services[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
    assert services["init"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            watched = "healthcheck" in services[other]
            assert how["condition"] == ("service_healthy" if watched else "service_completed_successfully")
            optional = "profiles" in services[other] and "profiles" not in service
            assert how.get("required", True) is not optional, f"{name} needs a profile to start: {other}"


def test_no_service_has_more_rights_than_it_needs(services: Services) -> None:
    forbidden = {"privileged", "cap_add", "pid", "ipc", "userns_mode", "user", "devices", "volumes_from"}
    for name, service in services.items():
        assert not forbidden & set(service), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "postgres":  # its image begins as root, to own its folder, and then becomes postgres
            assert service["cap_drop"] == ["ALL"], name
        assert service.get("network_mode", "service:tasks") == "service:tasks", name


def test_only_the_ui_is_published_and_only_to_this_machine(compose: Any, services: Services, env: Env) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}
    moved = compose.read(env | {"AIRFLOW_PORT": "9090"})["services"]["api-server"]
    assert moved["ports"] == ["127.0.0.1:9090:8080"]
    assert moved["environment"]["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:9090"


def test_what_is_mounted_is_there(root: Path, compose: Any, services: Services, env: Env) -> None:
    used = set()
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source, _, *mode = volume.split(":")
            if source.startswith("./"):
                assert (root / source).is_dir(), source
                assert mode == ["ro"], f"{name} could change {source}"
            else:
                assert not source.startswith("/"), f"{name} mounts {source} of the machine"
                used.add(source)
    assert used == set(compose.read(env)["volumes"])


def test_images_are_pinned(services: Services) -> None:
    for service in services.values():
        name, _, tag = service["image"].partition(":")
        assert tag not in ("", "latest"), name
    assert services["postgres"]["image"] == "postgres:18"


def test_secrets_go_only_to_those_who_need_them(services: Services, env: Env) -> None:
    def who_knows(secret: str) -> set[str]:
        return {name for name, service in services.items() if env[secret] in json.dumps(service)}

    assert who_knows("POSTGRES_PASSWORD") == {"postgres", "init"}
    assert who_knows("AIRFLOW_ADMIN_PASSWORD") == {"init"}
    assert who_knows("WAREHOUSE_PASSWORD") == {*AIRFLOW, "init"}
    assert who_knows("LOCAL_AWS_KEY") == {*AIRFLOW, "init", "aws"}
    assert who_knows("LOCAL_AWS_SECRET") == {*AIRFLOW, "init", "aws"}
    assert "environment" not in services["tasks"]


# ---- it agrees with the code ----

# What differs, because it is another machine; and marks that only the embedded stack's supervisor needs.
ELSEWHERE = {
    "AIRFLOW__API__HOST": "0.0.0.0",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api-server:8080/execution/",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "NO_PROXY": "127.0.0.1,localhost,api-server,postgres",
    "no_proxy": "127.0.0.1,localhost,api-server,postgres",
}
SUPERVISORS = {"SPT_NOENV", "OBJC_DISABLE_INITIALIZE_FORK_SAFETY"}
ON_POSTGRES = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    "AIRFLOW_CONN_WAREHOUSE",
}


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_is_set_up_as_in_the_embedded_stack(name: str, services: Services, env: Env) -> None:
    secrets = Secrets(
        airflow_password=env["AIRFLOW_DB_PASSWORD"],
        warehouse_password=env["WAREHOUSE_PASSWORD"],
        fernet_key=env["AIRFLOW_FERNET_KEY"],
        api_secret_key=env["AIRFLOW_API_SECRET_KEY"],
        jwt_secret=env["AIRFLOW_JWT_SECRET"],
        aws_access_key=env["LOCAL_AWS_KEY"],
        aws_secret_key=env["LOCAL_AWS_SECRET"],
    )
    bundles = airflow.pipeline_bundles("/srv/sluicegate/dags")
    ports = Ports(airflow=8080, postgres=5432, aws=9324)
    embedded = airflow.environment({}, State(Path(STATE)), secrets, ports, bundles)
    expected = {key: value for key, value in embedded.items() if key not in SUPERVISORS} | ELSEWHERE
    expected |= {key: embedded[key].replace("127.0.0.1", "postgres") for key in ON_POSTGRES}
    assert as_values(services[name]["environment"]) == as_values(expected)


def as_values(environment: Mapping[str, str]) -> dict[str, Any]:
    """What is JSON, as what it means."""
    return {key: json.loads(value) if value.startswith(("{", "[{")) else value for key, value in environment.items()}


def test_postgres_is_set_up_as_in_the_embedded_stack(services: Services, tmp_path: Path) -> None:
    run_as = postgres.RunAs("this user", postgres.Binaries(tmp_path))
    embedded = postgres.initdb(State(tmp_path), run_as, tmp_path / "password")
    options = dict(zip(embedded[1::2], embedded[2::2], strict=True))
    # The image names the user, the folder and the password itself, and asks for scram over the network.
    expected = {key: options[key] for key in ("--encoding", "--locale", "--locale-provider", "--builtin-locale")}
    given = services["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert dict(one.split("=") for one in given) == expected

    embedded = postgres.server(State(tmp_path), run_as, 5432)
    command = services["postgres"]["command"]
    assert command[0] == "postgres"
    assert set(command[1::2]) == {"-c"}
    assert set(command[2::2]) <= set(embedded[embedded.index("-c") + 1 :: 2])
    # Since 18 the data of the image is in a folder of its version below this one.
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_the_local_aws_is_where_the_connection_points(services: Services, env: Env) -> None:
    aws = services["aws"]
    assert aws["environment"]["SLUICEGATE_LOCAL_KEY"] == env["LOCAL_AWS_KEY"]
    assert aws["environment"]["SLUICEGATE_LOCAL_SECRET"] == env["LOCAL_AWS_SECRET"]
    [port] = [option.split("=")[1] for option in aws["command"] if option.startswith("--port=")]
    connection = json.loads(env["AIRFLOW_CONN_AWS_DEFAULT"])
    assert connection["extra"]["endpoint_url"] == f"http://{server.HOST}:{port}"
    assert f'"http://{server.HOST}:{port}{server.HEALTH}"' in aws["healthcheck"]["test"][-1]
    # It listens on its own loopback: those who call it have to share that.
    assert {services[name]["network_mode"] for name in ("aws", "scheduler", "triggerer")} == {"service:tasks"}


def test_the_local_aws_has_the_buckets_of_the_samples(root: Path, services: Services) -> None:
    texts = [file.read_text() for file in (root / "dags").rglob("*.yaml")]
    named = {bucket for text in texts for bucket in re.findall(r"\bs3://([a-z0-9.-]+)", text)}
    created = {option.split("=")[1] for option in services["aws"]["command"] if option.startswith("--bucket=")}
    assert created == named


def test_the_doc_drops_files_where_the_local_s3_keeps_them(services: Services, doc: str) -> None:
    [folder] = [option.split("=")[1] for option in services["aws"]["command"] if option.startswith("--root=")]
    assert f" aws:{folder}/inbox/" in doc


def commands(services: Services) -> Iterator[list[str]]:
    for service in services.values():
        command = service.get("command", [])
        if command[:2] == ["sh", "-ec"]:
            yield from (part.removeprefix("exec ").split() for part in command[2].split(" && "))
        elif command:
            yield command


def test_every_command_exists(services: Services) -> None:
    from airflow.cli.cli_parser import get_parser

    seen = set()
    for program, *arguments in commands(services):
        seen.add(program)
        if program == "airflow":
            get_parser().parse_args(arguments)  # exits where it knows no such command or option
        elif program == "python":
            assert arguments[0] == "-m"
            assert find_spec(arguments[1]) is not None, arguments[1]
    assert seen == {"airflow", "python", "postgres", "sleep"}


def test_the_local_aws_takes_its_options(services: Services) -> None:
    command = services["aws"]["command"][1:]
    ran = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^ +(--[a-z-]+)", ran.stdout, re.MULTILINE))
    assert {option.partition("=")[0] for option in command[2:]} <= known


def test_the_bundle_exists(services: Services) -> None:
    settings = services["scheduler"]["environment"]["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    [bundle] = json.loads(settings)
    module, _, name = bundle["classpath"].rpartition(".")
    assert hasattr(__import__(module, fromlist=[name]), name)
    [mounted] = [one for one in services["scheduler"]["volumes"] if one.startswith("./dags:")]
    assert mounted.split(":")[1] == bundle["kwargs"]["root"]


# ---- health ----


@pytest.fixture
def page() -> Iterator[tuple[str, dict[str, Any]]]:
    """An api-server's health page: where it is, and what it will answer."""
    answer: dict[str, Any] = {}

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/v2/monitor/health" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{listening.server_port}", answer
        listening.shutdown()
        thread.join()


HEALTHY = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00+00:00"},
    "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": "2026-01-01T00:00:00+00:00"},
    "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": "2026-01-01T00:00:00+00:00"},
}


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflows_health_is_its_own(name: str, services: Services, page: tuple[str, dict[str, Any]]) -> None:
    address, answer = page
    program, *arguments = services[name]["healthcheck"]["test"][1:]
    assert program == "python"
    arguments = [one.replace("api-server:8080", address) for one in arguments]
    component = arguments[-1]
    assert component == ("metadatabase" if name == "api-server" else name.replace("-", "_"))

    def healthy() -> bool:
        ran = subprocess.run([sys.executable, "-S", *arguments], env={}, capture_output=True, check=False)
        return ran.returncode == 0

    answer.update(HEALTHY)
    assert healthy()
    for unwell in ({"status": "unhealthy"}, {"status": None}, None):  # None: it never was there
        answer[component] = unwell
        assert not healthy()


def test_airflow_answers_with_these_names() -> None:
    from airflow.api_fastapi.core_api.datamodels.monitor import HealthInfoResponse

    assert set(HEALTHY) == set(HealthInfoResponse.model_fields)
