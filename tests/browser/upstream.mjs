// A registry with a few small images, on a port of this machine.
//
//   node upstream.mjs PORT_FILE        serves; POST /move makes the tag shop/cache:7.4 stand for the new image
//   node upstream.mjs --feeds FOLDER   writes advisories about what is in them

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";

const sha = (bytes) => "sha256:" + createHash("sha256").update(bytes).digest("hex");
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";

/** A tar of plain files. */
function tar(files) {
  const blocks = [];
  for (const [name, text] of Object.entries(files)) {
    const body = Buffer.from(text);
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write("0000644\0", 100);
    head.write("0000000\0", 108);
    head.write("0000000\0", 116);
    head.write(body.length.toString(8).padStart(11, "0") + "\0", 124);
    head.write("00000000000\0", 136);
    head.write("        ", 148);
    head.write("0", 156);
    head.write("ustar\0" + "00", 257);
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(sum.toString(8).padStart(6, "0") + "\0 ", 148);
    blocks.push(head, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

/** A layer of Debian 12 with `packages`. */
function debian(packages) {
  const stanza = ([name, version]) =>
    `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${version}\n\n`;
  return tar({
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
    "var/lib/dpkg/status": Object.entries(packages).map(stanza).join(""),
  });
}

const blobs = new Map();
const put = (bytes) => {
  blobs.set(sha(bytes), bytes);
  return { digest: sha(bytes), size: bytes.length };
};

function image(layers, config) {
  const written = put(
    Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: layers.map(sha) } })),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, ...written },
      layers: layers.map((bytes) => ({ mediaType: LAYER, ...put(bytes) })),
    }),
  );
  blobs.set(sha(manifest), manifest);
  return sha(manifest);
}

const base = tar({ "usr/bin/base": "the same in all\n".repeat(4000) });
const common = { "base-files": "12.4+deb12u5", bash: "5.2.15-2+b2", libc6: "2.36-9+deb12u4", libssl3: "3.0.11-1~deb12u2", openssl: "3.0.11-1~deb12u2", "zlib1g": "1:1.2.13.dfsg-1" };
const env = ["PATH=/usr/local/bin:/usr/bin", "CACHE_SIZE=64m"];
const old = image([base, debian({ ...common, "redis-server": "5:7.0.15-1~deb12u1", gosu: "1.14-1+b6" })], {
  User: "cache", Env: env, ExposedPorts: { "6379/tcp": {} }, Labels: { "org.opencontainers.image.title": "cache" },
});
const fresh = image([base, debian({ ...common, openssl: "3.0.13-1~deb12u1", libssl3: "3.0.13-1~deb12u1", "redis-server": "5:7.0.16-1", curl: "7.88.1-10+deb12u5" })], {
  User: "cache", Env: [...env, "METRICS_PORT=9121"], ExposedPorts: { "6379/tcp": {}, "9121/tcp": {} },
  Labels: { "org.opencontainers.image.title": "cache" },
});
const root = image([base, debian(common)], { Env: env });
const plain = image([base, tar({ "usr/bin/tool": "x" })], { User: "1000" });

const worker = image([base, tar({ "usr/bin/worker": "y" })], { User: "1000" });

const tags = new Map([
  ["shop/cache:7.3", old],
  ["shop/cache:7.4", old],
  ["shop/web:2.1", root],
  ["shop/api:2.4", plain],
  ["shop/worker:2.4", worker],
  ["base/debian:12", plain],
  ["tools/probe:1", plain],
  ["lab/cache:7.3", old],
]);

const CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
const MEDIUM = "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:N";
const advisories = [
  ["CVE-2026-0771", "openssl", "3.0.13-1~deb12u1", CRITICAL],
  ["CVE-2026-0802", "libssl3", "3.0.13-1~deb12u1", HIGH],
  ["CVE-2026-1203", "curl", "7.88.1-10+deb12u9", HIGH],
  ["CVE-2026-0415", "zlib1g", "1:1.3.1-1", MEDIUM],
];

function feeds(folder) {
  for (const [id, name, fixed, score] of advisories) {
    const record = {
      schema_version: "1.6.0", id, published: "2026-01-01T00:00:00Z", modified: new Date().toISOString(),
      severity: [{ type: "CVSS_V3", score }],
      affected: [{ package: { ecosystem: "Debian:12", name }, ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }, { fixed }] }] }],
    };
    writeFileSync(`${folder}/${id}.json`, JSON.stringify(record));
  }
}

function answer(request, response) {
  const path = decodeURIComponent(request.url.split("?")[0]);
  if (request.method === "POST" && path === "/move") {
    tags.set("shop/cache:7.4", fresh);
    return response.writeHead(204).end();
  }
  if (path === "/v2/") return response.writeHead(200).end();
  const list = path.match(/^\/v2\/(.+)\/tags\/list$/);
  if (list) {
    const own = [...tags.keys()].filter((it) => it.startsWith(`${list[1]}:`)).map((it) => it.split(":")[1]);
    response.writeHead(200, { "content-type": "application/json" });
    return response.end(JSON.stringify({ name: list[1], tags: own }));
  }
  const found = path.match(/^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/);
  const wanted = found && (tags.get(`${found[1]}:${found[3]}`) ?? found[3]);
  const bytes = wanted && blobs.get(wanted);
  if (!bytes) {
    response.writeHead(404, { "content-type": "application/json" });
    return response.end(JSON.stringify({ errors: [{ code: found?.[2] === "blobs" ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN", message: "unknown" }] }));
  }
  const type = found[2] === "manifests" ? MANIFEST : "application/octet-stream";
  response.writeHead(200, { "content-type": type, "content-length": bytes.length, "docker-content-digest": wanted });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

const [first, second] = process.argv.slice(2);
if (first === "--feeds") {
  feeds(second);
} else {
  const server = createServer(answer).listen(0, "127.0.0.1", () => {
    writeFileSync(first, String(server.address().port));
  });
}
