# syntax=docker/dockerfile:1
# The whole image is one static program: no shell, no libc, no package manager, not root.
#   docker build -t pratique .        or        buildah build -t pratique .
# Without an engine, and the same bytes every time: deploy/image/build.sh.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN program="$(deploy/image/binary.sh)" \
 && install -D -m 0755 "$program" /image/usr/bin/pratique \
 && install -d -m 0755 /image/etc/pratique \
 && printf 'root:x:0:0:root:/:/sbin/nologin\npratique:x:65532:65532:pratique:/var/lib/pratique:/sbin/nologin\n' >/image/etc/passwd \
 && printf 'root:x:0:\npratique:x:65532:\n' >/image/etc/group \
 && install -d -m 0750 -o 65532 -g 65532 /image/var/lib/pratique

FROM scratch
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /var/lib/pratique
VOLUME ["/var/lib/pratique"]
# The nodes' listener and the admins' listener, if the configuration puts them there.
EXPOSE 5000 5001
ENTRYPOINT ["/usr/bin/pratique"]
CMD ["serve", "--config", "/etc/pratique/pratique.toml"]
