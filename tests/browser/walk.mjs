// The walk itself; run.sh starts what it needs.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { TOOLS, OUT, NODES, ADMINS, UPSTREAM, TOKEN_FILE, CHROMIUM } = process.env;
const require = createRequire(`${TOOLS}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const TOKEN = readFileSync(TOKEN_FILE, "utf8").trim();
const TAG = "registry.example/shop/cache:7.4";

const pull = async (repository, reference) => {
  const url = `${NODES}/v2/${repository}/manifests/${reference}?ns=registry.example`;
  const answer = await fetch(url, { headers: { accept: "application/vnd.oci.image.manifest.v1+json" } });
  const body = await answer.json();
  if (answer.status !== 200) return { status: answer.status, message: body.errors?.[0]?.message ?? "" };
  for (const part of [body.config, ...body.layers]) {
    const blob = await fetch(`${NODES}/v2/${repository}/blobs/${part.digest}?ns=registry.example`);
    assert.equal(blob.status, 200);
    assert.equal((await blob.arrayBuffer()).byteLength, part.size);
  }
  return { status: 200, digest: answer.headers.get("docker-content-digest") };
};
const step = (text) => console.log(`   ${text}`);

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const problems = [];
const watch = (page) => {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !/status of (403|404|409)/.test(message.text()))
      problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`script: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(ADMINS)) problems.push(`asks elsewhere: ${request.url()}`);
  });
};
const signIn = async (page, path = "/") => {
  await page.goto(`${ADMINS}${path}`);
  const field = page.getByLabel("Token");
  if (!(await field.isVisible())) await page.getByText("Sign in with a token").click();
  await field.fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
};
const decide = async (page, verb, reason) => {
  await page.locator(`details[data-verb="${verb}"] > summary`).click();
  const form = page.locator(`details[data-verb="${verb}"] form`);
  await form.getByLabel("Why").fill(reason);
  await form.getByRole("button").click();
  await page.getByRole("status").waitFor();
};

// --- the way of a new image -----------------------------------------------------------------------------
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
watch(page);

let pulled = await pull("shop/cache", "7.4");
assert.equal(pulled.status, 403, "the pull is refused");
const id = pulled.message.match(/R-\d+/)[0];
step(`a pull is refused: ${pulled.message}`);

await signIn(page, `/requests/${id}`);
assert.equal(new URL(page.url()).pathname, `/requests/${id}`, "signing in leads to the page that was asked for");
const cookies = await context.cookies();
assert.ok(cookies.every((it) => it.httpOnly && it.sameSite === "Strict"), "the cookie is out of reach");
assert.ok(!JSON.stringify(cookies).includes(TOKEN), "the cookie is no token");
await page.getByText("Nothing to compare with").waitFor();
await page.getByText("CVE-2026-0771").first().waitFor();
await decide(page, "approve", "the cache of the shop, reviewed");
step("signed in, looked, approved");

pulled = await pull("shop/cache", "7.4");
assert.equal(pulled.status, 200, "the pull works");
const approved = pulled.digest;
step(`the pull works: ${approved.slice(0, 19)}`);

await fetch(`${UPSTREAM}/move`, { method: "POST" });
pulled = await pull("shop/cache", "7.4");
assert.equal(pulled.digest, approved, "the tag moved, and is served as what was approved");
await page.goto(`${ADMINS}/images/${TAG}`);
const difference = page.locator("section.difference");
for (const text of ["1 new layer", "redis-server", "CVE-2026-1203", "9121/tcp", "METRICS_PORT"])
  await difference.getByText(text).first().waitFor();
step("the tag moved; the difference is told");

await decide(page, "approve", "the new version, fewer findings");
pulled = await pull("shop/cache", "7.4");
assert.equal(pulled.status, 200);
assert.notEqual(pulled.digest, approved, "the new one is served");
const fresh = pulled.digest;
await page.goto(`${ADMINS}/images/registry.example/shop/cache@${fresh}`);
await decide(page, "revoke", "its key was stolen");
pulled = await pull("shop/cache", fresh);
assert.equal(pulled.status, 403);
assert.match(pulled.message, /[Rr]evoked/);
step(`approved, pulled, revoked: ${pulled.message}`);

// Something for every page: denied by its configuration, denied by rule, admitted by rule. An open page is loaded
// anew by that, and not while somebody writes.
await page.goto(`${ADMINS}/`);
await page.evaluate(() => { window.stays = true; });
assert.equal(await page.getByText("shop/web").count(), 0);
pulled = await pull("shop/web", "2.1");
assert.equal(pulled.status, 403);
await page.getByText("shop/web").first().waitFor({ timeout: 20000 });
assert.ok(await page.evaluate(() => window.stays), "it is the same page");
await page.goto(`${ADMINS}/requests/${pulled.message.match(/R-\d+/)[0]}`);
await page.locator('details[data-verb="reject"] > summary').click();
const why = page.locator('details[data-verb="reject"] form').getByLabel("Why");
await why.fill("half a sentence");
assert.equal((await pull("tools/probe", "1")).status, 403);
await page.getByText("Something has changed").waitFor({ timeout: 20000 });
assert.equal(await why.inputValue(), "half a sentence", "what was written stays");
assert.equal((await pull("base/debian", "12")).status, 200);
step("an open page is loaded anew when something happens, and not while somebody writes");

// Two of a release that wait together, and a question about one of them.
const post = async (path, body) => {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const answer = await fetch(`${ADMINS}/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
};
const images = ["registry.example/shop/api:2.4", "registry.example/shop/worker:2.4"];
const asked = await post("/requests", { images, reason: "the release of Tuesday", group: "shop 2.4", ticket: "SEC-991" });
const [one, two] = asked.map((it) => it.request);
await page.goto(`${ADMINS}/requests/${one}`);
await page.getByText("Ask…").click();
await page.getByLabel("What you have to know").fill("Does it still need the old port?");
await page.getByRole("button", { name: "Ask", exact: true }).click();
await page.getByText("Your question is on record").waitFor();
await page.goto(`${ADMINS}/?state=needs-info`);
await page.getByText("Does it still need the old port?").waitFor();
await post("/people", { name: "alice", role: "approver", groups: ["security", "leads"] });
await post("/people", { name: "bob", role: "viewer" });
step("a release was asked for, and asked about");

// A finding that somebody answers for, for a while.
const LAB = `${ADMINS}/images/registry.example/lab/cache:7.3`;
assert.equal((await pull("lab/cache", "7.3")).status, 403);
await page.goto(LAB);
await page.locator('a[href*="vulnerability=CVE-2026-0771"]').first().click();
await page.waitForURL(/\/exceptions\/new\?/);
await page.getByText("CVE-2026-0771 in openssl").first().waitFor();
await page.getByLabel("Why", { exact: true }).fill("not reachable in this lab");
await page.getByLabel("It holds").selectOption({ label: "for 7 days" });
await page.getByRole("button", { name: "Ask", exact: true }).click();
await page.waitForURL(/\/exceptions\/X-\d+\?done=asked/);
const exception = new URL(page.url()).pathname;
assert.equal((await pull("lab/cache", "7.3")).status, 403, "asking is not granting");
await decide(page, "grant", "looked at it");
await page.getByText("Granted. It is in force").waitFor();
assert.equal((await pull("lab/cache", "7.3")).status, 200, "the finding does not count");
await decide(page, "end", "there is a fixed one");
assert.equal((await pull("lab/cache", "7.3")).status, 403, "it counts again");
step("an exception: asked for, granted, pulled, ended, refused");

// The way around everything, loudly.
await page.goto(`${ADMINS}/break-glass`);
await page.getByText("Break the glass…").click();
await page.getByLabel("Image or repository").fill("registry.example/lab/cache:7.3");
await page.getByLabel("Why").fill("production is down");
await page.getByLabel("Ticket").fill("INC-77");
await page.getByLabel("Your token, once more").fill(TOKEN);
await page.getByRole("button", { name: "Break the glass" }).click();
await page.locator("section.glass").first().waitFor();
assert.equal((await pull("lab/cache", "7.3")).status, 200, "served by break-glass");
await page.goto(`${ADMINS}/`);
await page.locator(".glass-banner").waitFor();
step("a break-glass: used, pulled, told on every page");

// --- by keyboard ----------------------------------------------------------------------------------------
await page.goto(`${ADMINS}/?state=all`);
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the first stop skips");
await page.keyboard.press("j");
await page.keyboard.press("j");
await page.keyboard.press("k");
const first = await page.evaluate(() => document.activeElement.textContent);
assert.match(first, /^R-\d+$/, "j and k move between requests");
await page.goto(`${ADMINS}/?q=shop/web&state=all`);
await page.keyboard.press("j");
await page.keyboard.press("Enter");
await page.waitForURL(/\/requests\/R-\d+$/);
await page.keyboard.press("r");
assert.equal(await page.evaluate(() => document.activeElement.tagName), "TEXTAREA", "r opens the no");
await page.keyboard.type("j and k are letters here");
assert.equal(await page.evaluate(() => document.activeElement.value), "j and k are letters here");
await page.keyboard.press("Escape");
await page.keyboard.press("?");
assert.ok(await page.locator("dialog[open]").isVisible(), "? tells the keys");
await page.keyboard.press("Escape");
await page.keyboard.press("/");
assert.equal(await page.evaluate(() => document.activeElement.id), "search", "/ searches");
for (let stop = 0; stop < 12; stop += 1) {
  await page.keyboard.press("Tab");
  const [where, outline] = await page.evaluate(() => {
    const { tagName, className } = document.activeElement;
    return [`${tagName}.${className}`, getComputedStyle(document.activeElement).outlineStyle];
  });
  if (where.startsWith("BODY")) break;
  assert.notEqual(outline, "none", `focus is seen on ${where}`);
}
step("by keyboard: skip link, j, k, Enter, r, ?, /, and focus is seen");

// --- every page, two widths, both schemes, before axe ---------------------------------------------------
const pages = [
  ["login", "/login"],
  ["queue", "/?state=all"],
  ["for-you", "/?state=mine"],
  ["questions", "/?state=needs-info"],
  ["group", "/?group=shop+2.4"],
  ["together", "/together?group=shop+2.4"],
  ["asked", `/requests/${one}`],
  ["request", `/requests/${id}`],
  ["image", `/images/registry.example/shop/cache@${fresh}`],
  ["denied", "/images/registry.example/shop/web:2.1"],
  ["audit", "/audit?check=now"],
  ["policy", "/policy"],
  ["health", "/health"],
  ["outdated", "/outdated"],
  ["people", "/people"],
  ["person", "/people?id=user%3Aalice"],
  ["account", "/account"],
  ["exceptions", "/exceptions?state=all"],
  ["exception", exception],
  ["excepting", "/exceptions/new?image=registry.example%2Flab%2Fcache%3A7.3&vulnerability=CVE-2026-0771&package=openssl"],
  ["break-glass", "/break-glass"],
];
const state = await context.storageState();
const found = [];
for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    const looking = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, reducedMotion: "reduce", storageState: state, bypassCSP: true });
    const sheet = await looking.newPage();
    watch(sheet);
    for (const [name, path] of pages) {
      await sheet.goto(`${ADMINS}${path}`);
      if (["denied", "person", "break-glass"].includes(name)) await sheet.locator("details.choice > summary").first().click();
      const wide = await sheet.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} at ${width} scrolls sideways by ${wide}`);
      await sheet.screenshot({ path: `${OUT}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      await sheet.evaluate(AXE);
      const { violations } = await sheet.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      for (const violation of violations)
        found.push(`${name} ${width} ${colorScheme}: ${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
    }
    await looking.close();
  }
}
writeFileSync(`${OUT}/axe.txt`, found.join("\n"));
step(`${pages.length} pages at 1280 and 360, light and dark: nothing scrolls sideways; axe finds ${found.length}`);

// --- without a script -----------------------------------------------------------------------------------
const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
const without = await plain.newPage();
await signIn(without, `/images/registry.example/shop/cache@${fresh}`);
await decide(without, "approve", "a new key, signed again");
assert.equal((await pull("shop/cache", fresh)).status, 200);
await without.goto(`${ADMINS}/?group=shop+2.4`);
await without.getByLabel(`Choose ${one}`).check();
await without.getByLabel(`Choose ${two}`).check();
await without.getByRole("button", { name: "Decide about those chosen" }).click();
await without.getByLabel("Why").fill("the release of Tuesday, SEC-991");
await without.getByRole("button", { name: "Approve those chosen" }).click();
await without.getByText("2 of 2 requests").waitFor();
assert.equal((await pull("shop/api", "2.4")).status, 200);
assert.equal((await pull("shop/worker", "2.4")).status, 200);
await without.getByRole("button", { name: "Sign out" }).click();
await without.goto(`${ADMINS}/`);
assert.equal(new URL(without.url()).pathname, "/login");
step("without a script: signed in, approved, decided about two together, signed out");

await browser.close();
for (const problem of [...problems, ...found]) console.log(`   PROBLEM ${problem}`);
assert.equal(problems.length + found.length, 0, "problems, see above");
console.log("== the walk passed");
