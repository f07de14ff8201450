# syntax=docker/dockerfile:1
# The whole image is one static program: no shell, no libc, no package manager, not root.
#   docker build -t pratique .        or        buildah build -t pratique .
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# `--target` keeps the static flag away from build scripts and procedural macros, which cannot be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && cargo build --release --locked --target "$target" --bin pratique \
 && install -D -m 0755 "target/$target/release/pratique" /image/usr/bin/pratique \
 && install -d -m 0750 -o 65532 -g 65532 /image/var/lib/pratique \
 && install -d -m 0755 /image/etc/pratique

FROM scratch
COPY --from=build /image/ /
USER 65532:65532
VOLUME ["/var/lib/pratique"]
# The nodes' listener and the admins' listener, if the configuration puts them there.
EXPOSE 5000 5001
ENTRYPOINT ["/usr/bin/pratique"]
CMD ["serve", "--config", "/etc/pratique/pratique.toml"]
