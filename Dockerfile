# syntax=docker/dockerfile:1
# statefold, and nothing else: neither shell nor package manager, not as root.
#
#   docker build -t statefold .
#   docker run --rm -e MONGODB_URI -e STATEFOLD_DATABASE=Squidex statefold plan
#   docker run -d -p 127.0.0.1:9090:9090 -e MONGODB_URI -e STATEFOLD_DATABASE=Squidex -e STATEFOLD_PAGE_TOKEN \
#     statefold follow

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# What is compiled is kept between builds, so the program is copied out of there.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin statefold \
    && cp target/release/statefold /usr/local/bin/statefold

# Has glibc and libgcc, which the program needs, and certificates; its user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/statefold /usr/local/bin/statefold
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/statefold/
# In a container, loopback is reached by nobody else. What is served has no login: publish it to few.
ENV STATEFOLD_LISTEN=0.0.0.0:9090
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["statefold", "health"]
ENTRYPOINT ["statefold"]
CMD ["help"]
