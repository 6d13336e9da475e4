# The images of docker-compose.yaml: `airflow` runs Airflow's components, `local` the local EMR and S3 with Spark.
# Debian 12 by name: it has the Java 17 that Spark 3.5 wants, and its Python is where the environment expects it.

FROM python:3.11-slim-bookworm AS build
# uv must use the Python that is here, and copy: a link into its cache would be left behind with this stage.
ENV UV_PROJECT_ENVIRONMENT=/opt/sluicegate UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_PROGRESS=1
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore uv==0.13.8
WORKDIR /src
COPY pyproject.toml uv.lock ./
# The sample pipelines read real days out of a package. `--build-arg SAMPLES=` leaves it out.
ARG SAMPLES=1
# Dependencies first: a change of our own code leaves this layer, the big one, as it is.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project ${SAMPLES:+--group samples}
COPY README.md LICENSE ./
COPY provider provider
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable ${SAMPLES:+--group samples}


FROM build AS build-local
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --extra local


FROM python:3.11-slim-bookworm AS base
# Volumes take over the owner of the folder that they cover: without it they would be root's.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin sluicegate \
 && install --directory --mode=0700 --owner=sluicegate --group=sluicegate /var/lib/sluicegate
ENV PATH=/opt/sluicegate/bin:$PATH PYTHONUNBUFFERED=1


FROM base AS local
# There is no JRE on PyPI for Linux on arm64 (a Mac's containers are that): Debian's takes its place.
ARG TARGETARCH
RUN if [ "$TARGETARCH" = arm64 ]; then \
      apt-get update && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
      && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build-local /opt/sluicegate /opt/sluicegate
USER sluicegate
WORKDIR /var/lib/sluicegate
CMD ["python", "-m", "sluicegate.local.aws", "--help"]


# The last one is what a plain `docker build .` makes.
FROM base AS airflow
COPY --from=build /opt/sluicegate /opt/sluicegate
USER sluicegate
WORKDIR /var/lib/sluicegate
CMD ["sluicegate", "--help"]
