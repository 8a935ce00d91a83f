# One image for every process of the monitor; docker-compose.yml says which it is to be.
# The Python that the tests run on.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
# Requirements first: they change less often than the code, and stay in the cache.
COPY requirements.txt requirements-embedded.txt requirements-archive.txt \
    requirements-object-stores.txt requirements-services.txt ./
RUN /opt/venv/bin/pip install -r requirements.txt \
    && /opt/venv/bin/pip install -r requirements-embedded.txt \
    && /opt/venv/bin/pip install -r requirements-services.txt -r requirements-object-stores.txt \
    && /opt/venv/bin/pip uninstall --yes pip setuptools \
    && find /opt/venv -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} + \
    && rm -rf /opt/venv/lib/python3.11/site-packages/pyarrow/include

FROM python:3.11-slim-bookworm
# A user without a shell or anything to write to but these two folders; with a name, because
# PostgreSQL's initdb (of the scratch server that backups are tried out on) asks for one.
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
