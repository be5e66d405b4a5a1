# syntax=docker/dockerfile:1
# Two stages: the first builds an environment from the hash-pinned lock, the second runs it.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/weir
COPY requirements.lock ./
# The lock also names the tools for development: they build here, and what serves is chosen below.
RUN /opt/weir/bin/pip install --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
RUN /opt/weir/bin/pip install --no-deps --no-build-isolation . \
 && /opt/weir/bin/pip uninstall --yes \
      coverage hypothesis import-linter mypy openai pytest pytest-asyncio pytest-cov pytest-timeout ruff

FROM python:3.11-slim
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="A gateway that stops model extraction." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home weir \
 && install -d -o weir -g weir -m 0700 /var/lib/weir
COPY --from=build /opt/weir /opt/weir
COPY policies /etc/weir/policies
ENV PATH=/opt/weir/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    WEIR_LISTEN=0.0.0.0:8080 WEIR_ADMIN=127.0.0.1:9090 \
    WEIR_HOME=/var/lib/weir WEIR_POLICIES=/etc/weir/policies
USER 10001:10001
WORKDIR /var/lib/weir
VOLUME /var/lib/weir
EXPOSE 8080 9090
# Running answers may end within the grace of the settings (20 s) and the drain around it: stop the
# container with a longer patience, `docker stop -t 60`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['WEIR_ADMIN'].rpartition(':')[2] + '/livez', timeout=2)"]
ENTRYPOINT ["weir"]
CMD ["serve"]
