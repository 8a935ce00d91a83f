# One image serves every process of the monitor. docker-compose.yml sets the command of each.
# Python 3.11 is the version that the project is developed with.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
# Requirements come first. They change less often than the code, so Docker can reuse this layer.
COPY requirements ./requirements
RUN /opt/venv/bin/pip install --require-hashes -r requirements/embedded.txt \
        -r requirements/services.txt -r requirements/object-stores.txt \
    && /opt/venv/bin/pip uninstall --yes pip setuptools \
    && find /opt/venv -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} + \
    && rm -rf /opt/venv/lib/python3.11/site-packages/pyarrow/include

FROM python:3.11-slim-bookworm
# The user has no shell and may write to these three folders only. It needs a name, because initdb
# refuses a user without one; the backup starts a scratch PostgreSQL server to test each dump.
RUN groupadd --gid 10001 sentinel \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin sentinel \
    && install -d -o 10001 -g 10001 /state /backups /archive
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY *.py ingest_config.json ./
COPY sentinel ./sentinel
COPY pipeline ./pipeline
COPY services ./services
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    SENTINEL_STATE_DIR=/state \
    SENTINEL_REGISTRY=/state/coin_registry.json
USER 10001:10001
CMD ["python", "-m", "services.ingestion"]
