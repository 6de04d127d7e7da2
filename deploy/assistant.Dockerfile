# Rasa in its own environment: the assistant, its action server, the training (bot/services.py).
# Build from the repository's root: docker build -f deploy/assistant.Dockerfile .
# Models are not in the image: the trainer writes them, the assistants mount them read-only.

FROM python:3.11-slim-bookworm AS environment
WORKDIR /build
COPY requirements/ requirements/
# Byte-code matters: without it the first import of Rasa takes most of a minute.
RUN python -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/uv.txt \
    && /opt/uv/bin/uv venv --python /usr/local/bin/python /opt/venv \
    && /opt/uv/bin/uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes \
        --compile-bytecode --build-constraints requirements/build.txt requirements/assistant.txt

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 assistant \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin assistant \
    && install --directory --owner=10001 --group=10001 --mode=0755 /models
COPY --from=environment /opt/venv /opt/venv
WORKDIR /app
COPY config.yml domain.yml credentials.yml endpoints.yml endpoints.production.yml ./
COPY deploy/logging.yml deploy/logging.yml
COPY bot/__init__.py bot/plainlogs.py bot/services.py bot/
COPY bot/nlu/ bot/nlu/
COPY actions/ actions/
COPY data/ data/
COPY force/ force/
RUN /opt/venv/bin/python -m compileall -q bot actions
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    RASA_CACHE_DIRECTORY=/tmp/rasa-cache \
    RASA_TELEMETRY_ENABLED=false \
    FRONTCOUNTER_MODELS=/models
USER 10001:10001
EXPOSE 5005
STOPSIGNAL SIGTERM
CMD ["python", "-m", "bot.services", "assistant"]
