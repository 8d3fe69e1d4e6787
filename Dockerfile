# CityEvents as one program in a small image:
#
#   docker build --tag cityevents .
#   docker run --rm cityevents --help
#
# docker-compose.yml runs a cluster of it.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# TLS and SASL to Kafka are part of the image; OpenSSL is built with it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release --package cityevents --features tls \
    && cp target/release/cityevents /cityevents

FROM debian:bookworm-slim
# curl is for health checks, the certificates for https:// to a registry or S3.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/cityevents cityevents \
    && install --directory --owner cityevents --mode 0750 \
        /var/lib/cityevents /var/lib/cityevents/shared /var/lib/cityevents/snapshots
COPY --from=build /cityevents /usr/local/bin/cityevents
USER 10001
WORKDIR /var/lib/cityevents
# In a container, the addresses of the listeners are the container's. The data folder has to be said
# by whoever mounts one; without that, it is the working directory's.
ENV CITYEVENTS__HTTP__LISTEN=0.0.0.0:8080 \
    CITYEVENTS__OPS__LISTEN=0.0.0.0:9090 \
    CITYEVENTS__TELEMETRY__LOG_FORMAT=json
EXPOSE 8080 9090
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:9090/readyz"]
ENTRYPOINT ["cityevents"]
CMD ["dev"]
