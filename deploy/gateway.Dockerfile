# The gateway: public listener, desk, clocks, outbox. Also runs every `frontcounter` command.
# Build from the repository's root: docker build -f deploy/gateway.Dockerfile .
# No secret is ever copied into an image: they come as files when a container starts.

FROM node:22-bookworm-slim AS pages
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY scripts/assets.mjs scripts/assets.mjs
COPY bot/console/assets bot/console/assets
RUN node scripts/assets.mjs

FROM python:3.11-slim-bookworm AS environment
WORKDIR /build
COPY requirements/ requirements/
# The locks hold the hash of every file: anything else is refused.
RUN python -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/uv.txt \
    && /opt/uv/bin/uv venv --python /usr/local/bin/python /opt/venv \
    && /opt/uv/bin/uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes \
        --compile-bytecode --build-constraints requirements/build.txt requirements/gateway.txt

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 frontcounter \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin frontcounter \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/frontcounter \
    && install --directory --owner=10001 --group=10001 --mode=0700 /backups
COPY --from=environment /opt/venv /opt/venv
WORKDIR /app
COPY config.yml domain.yml ./
COPY bot/ bot/
COPY data/ data/
COPY force/ force/
COPY --from=pages /build/bot/console/static/build bot/console/static/build
RUN /opt/venv/bin/python -m compileall -q bot
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FRONTCOUNTER_VAR=/var/lib/frontcounter
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
CMD ["python", "-m", "bot.cli", "serve"]
