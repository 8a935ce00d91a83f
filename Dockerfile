# One image serves every process of the monitor. docker-compose.yml sets the command of each.
# Another image with Python 3.11 can take the place of the base: --build-arg BASE=IMAGE.
ARG BASE=python
# Dependabot reads FROM, not ARG, so the default base has a stage of its own. Python 3.11 is the
# version that the project is developed with.
FROM python:3.11-slim-bookworm AS python

FROM ${BASE} AS build
WORKDIR /build
RUN apt-get update -qq && apt-get install -qq --no-install-recommends binutils
RUN python -m venv /opt/venv
# Requirements come first. They change less often than the code, so Docker can reuse this layer.
COPY requirements ./requirements
# The name of one more requirement file, such as object-stores.
ARG EXTRAS=
RUN /opt/venv/bin/pip install --no-compile --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements/embedded.txt -r requirements/containers.txt \
        ${EXTRAS:+-r requirements/$EXTRAS.txt} \
    && /opt/venv/bin/pip uninstall --yes pip setuptools
# What no process reads, 170 MB: tests, files for compilers and for Jupyter, symbols of debuggers,
# and Arrow's network clients.
RUN rm -r /opt/venv/share/jupyter && cd /opt/venv/lib/python3.11/site-packages \
    && find . -depth -type d \( -name tests -o -name include -o -name nbextension \
        -o -name labextension -o -name __pycache__ \) -exec rm -r {} + \
    && find . \( -name '*.[ach]' -o -name '*.[ch]pp' -o -name '*.py[xi]' -o -name '*.px[di]' \
        -o -name '*.map' -o -name widgetbundle.js \) -delete \
    && find . -name '*.so*' -type f ! -path './*.libs/*' -exec strip --strip-unneeded {} + \
    && rm pyarrow/_flight.* pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* \
        pyarrow/_s3fs.* pyarrow/libarrow_s3.*

FROM ${BASE}
# The user has no shell and may write to these three folders only. It needs a name, because initdb
# refuses a user without one; the backup starts a scratch PostgreSQL server to test each dump.
RUN groupadd --gid 10001 sentinel \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin sentinel \
    && install -d -m 0700 -o 10001 -g 10001 /state /backups /archive
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY *.py ingest_config.json ./
COPY sentinel ./sentinel
COPY pipeline ./pipeline
COPY services ./services
ENV PATH=/opt/venv/bin:$PATH
# Compile what the health checks and each forecast import in a new process. A container cannot
# store it: its file system is read-only.
RUN python -c "import services.probe, services.ingestion.fit_process, sklearn.linear_model"
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    SENTINEL_STATE_DIR=/state \
    SENTINEL_REGISTRY=/state/coin_registry.json
USER 10001:10001
CMD ["python", "-m", "services.ingestion"]
