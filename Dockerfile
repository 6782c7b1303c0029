# Two stages: the wheel and its locked dependencies are built once; the image holds no compiler, no
# shell scripts of ours and no root process.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/riskd \
 && /opt/riskd/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
RUN /opt/riskd/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/riskd riskd
COPY --from=build /opt/riskd /opt/riskd
ENV PATH=/opt/riskd/bin:$PATH PYTHONUNBUFFERED=1
USER riskd
WORKDIR /var/lib/riskd
VOLUME /var/lib/riskd
EXPOSE 9470
# Liveness only: a venue outage must never restart the monitor in the middle of the incident.
HEALTHCHECK --interval=10s --timeout=3s --retries=3 --start-period=60s \
  CMD ["riskd", "health", "--live"]
ENTRYPOINT ["riskd"]
CMD ["run", "--config", "/etc/riskd/riskd.yaml"]
