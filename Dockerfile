# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# The types of the SQL come from .sqlx: no database is needed to build.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/numberbank /usr/local/bin/numberbank

# The same Debian release as above, or the binary may miss its libc.
FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin numberbank
COPY --from=build /usr/local/bin/numberbank /usr/local/bin/numberbank
USER 10001:10001
EXPOSE 8008
# There is no PostgreSQL in this image: DATABASE_URL must name one.
ENTRYPOINT ["numberbank"]
CMD ["serve", "--bind", "0.0.0.0:8008"]
