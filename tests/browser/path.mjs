// The path of a new image; path.sh starts what it needs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";

const { TOOLS, OUT, PICTURES, NODE, PRATIQUE, CONFIG, ADMINS, UPSTREAM, CHROMIUM } = process.env;
const require = createRequire(`${TOOLS}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const run = promisify(execFile);
const step = (text) => console.log(`   ${text}`);

/** What a command says, and how it ends. */
async function said(program, args) {
  try {
    const { stdout, stderr } = await run(program, args, { timeout: 60_000 });
    return { code: 0, stdout, text: stdout + stderr };
  } catch (error) {
    return { code: error.code, stdout: error.stdout, text: `${error.stdout}${error.stderr}` };
  }
}
const admin = (...args) => said(PRATIQUE, [...args, "--config", CONFIG]);
/** containerd pulls, as a node would. */
const pull = (image) =>
  said("ctr", ["--address", `${NODE}/sock`, "-n", "k8s.io", "images", "pull", "--hosts-dir", `${NODE}/hosts.d`, image]);

/** The code that an authenticator shows for `key`, `steps` half minutes from now. */
function code(key, steps = 0) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...key.replace(/\s/g, "")].map((it) => alphabet.indexOf(it).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((it) => parseInt(it, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const hash = createHmac("sha1", bytes).update(counter).digest();
  const offset = hash[hash.length - 1] & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** A code of `who` that was not used: each counts once. */
async function fresh(who) {
  await new Promise((done) => setTimeout(done, 30_500 - (Date.now() % 30_000)));
  return code(who.key, 1);
}

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const problems = [];
async function somebody() {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, reducedMotion: "reduce", bypassCSP: true });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !/status of (403|404|409)/.test(message.text()))
      problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`script: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(ADMINS)) problems.push(`asks elsewhere: ${request.url()}`);
  });
  return page;
}
if (PICTURES) mkdirSync(PICTURES, { recursive: true });
/** A picture of the page, and axe's word on it. */
async function picture(page, name, options = {}) {
  await page.screenshot({ path: `${OUT}/${name}.png`, fullPage: true });
  if (PICTURES && options.guide) {
    const what = options.part ? page.locator(options.part).first() : page;
    await what.screenshot({ path: `${PICTURES}/${name}.png` });
  }
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations)
    problems.push(`axe, ${name}: ${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
}

const people = {};
/** Makes a user, who signs in for the first time at `path`, by what the pages say. */
async function welcome(name, role, groups, path, guide) {
  const made = await admin("user", "add", name, "--role", role, ...groups.flatMap((group) => ["--group", group]), "--json");
  assert.equal(made.code, 0, made.text);
  const secret = JSON.parse(made.stdout).secret;
  assert.ok(secret, made.text);
  const page = await somebody();
  await page.goto(`${ADMINS}${path}`);
  if (guide) await picture(page, "sign-in", { guide });
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password, or one-time secret").fill(secret);
  await page.getByRole("button", { name: "Go on" }).click();
  const key = await page.locator("#key").textContent();
  await picture(page, guide ? "welcome" : `welcome-${name}`, { guide });
  const password = `a long word of ${name} and four others`;
  await page.getByLabel("New password").fill(password);
  await page.getByLabel("The same again").fill(password);
  await page.getByLabel("The code that it shows").fill(code(key));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${ADMINS}${path}`);
  people[name] = { page, key, password };
  return page;
}
const decide = async (page, verb, reason) => {
  await page.locator(`details[data-verb="${verb}"] > summary`).click();
  const form = page.locator(`details[data-verb="${verb}"] form`);
  await form.getByLabel("Why").fill(reason);
  await form.getByRole("button").click();
};

// --- what is approved already: the version before -------------------------------------------------------
let answer = await pull("registry.example/shop/cache:7.3");
assert.notEqual(answer.code, 0);
const before = answer.text.match(/R-\d+/)[0];
const alice = await welcome("alice", "approver", ["platform-security"], `/requests/${before}`, true);
await decide(alice, "approve", "the version that runs today");
await alice.getByRole("status").waitFor();
const bob = await welcome("bob", "approver", ["platform-leads"], `/requests/${before}`);
await decide(bob, "approve", "known for months");
await bob.getByRole("status").waitFor();
answer = await pull("registry.example/shop/cache:7.3");
assert.equal(answer.code, 0, answer.text);
step("alice and bob came in with a one-time secret each, chose a password and set up an authenticator");

// --- a new image ----------------------------------------------------------------------------------------
await fetch(`${UPSTREAM}/move`, { method: "POST" });
const image = "registry.example/shop/cache:7.4";
answer = await pull(image);
assert.notEqual(answer.code, 0, "the first pull is refused");
const [, id, link] = answer.text.match(/Pending approval (R-\d+), see (http\S+?\/r\/\d+)/) ?? [];
assert.ok(id, answer.text);
step(`containerd's first pull is refused: Pending approval ${id}, see ${link}`);

await alice.goto(link);
await alice.waitForLoadState();
await alice.goto(`${ADMINS}/`);
await picture(alice, "queue", { guide: true });
await alice.getByRole("link", { name: id }).click();
const difference = alice.locator("section.difference");
for (const text of ["1 new layer", "redis-server", "CVE-2026-1203", "9121/tcp", "METRICS_PORT"])
  await difference.getByText(text).first().waitFor();
await alice.evaluate(() => scrollTo(0, 0));
await picture(alice, "request", { guide: true });
await picture(alice, "difference", { guide: true, part: "section.difference" });
await alice.locator('details[data-verb="approve"] > summary').click();
await picture(alice, "deciding", { guide: true, part: "section.people" });
await alice.locator('details[data-verb="approve"] > summary').click();
await decide(alice, "approve", "openssl is mended, metrics were asked for, SEC-991");
await alice.getByText("1 of 2 said yes").waitFor();
await picture(alice, "voted", { guide: true, part: "section.people" });
answer = await pull(image);
assert.notEqual(answer.code, 0, "one yes is not enough");
assert.match(answer.text, new RegExp(`Pending approval ${id}`));
step("alice saw evidence and difference and said yes; the second pull is refused still");

// Bob was away: he signs in with both proofs, and a code counts once.
await bob.getByRole("button", { name: "Sign out" }).click();
await bob.goto(`${ADMINS}/requests/${id}`);
await bob.getByLabel("Name").fill("bob");
await bob.getByLabel("Password, or one-time secret").fill(people.bob.password);
await bob.getByRole("button", { name: "Go on" }).click();
await picture(bob, "code", { guide: true });
await bob.getByLabel("Code of your authenticator").fill(code(people.bob.key, 1));
await bob.getByRole("button", { name: "Sign in" }).click();
await bob.waitForURL(`${ADMINS}/requests/${id}`);
await bob.getByText("1 of 2 said yes").waitFor();
await decide(bob, "approve", "fine with the shop's team");
await bob.getByRole("status").waitFor();
answer = await pull(image);
assert.equal(answer.code, 0, answer.text);
step("bob signed in with password and code and said yes; the third pull works");

// --- the auditor proves it ------------------------------------------------------------------------------
const erin = await welcome("erin", "auditor", [], "/audit");
await erin.goto(`${ADMINS}/audit?check=now`);
await erin.getByText("each is as it was written").waitFor();
for (const text of ["voted", "approved", "SEC-991"]) await erin.getByText(text).first().waitFor();
await picture(erin, "audit", { guide: true });
assert.equal(await erin.goto(`${ADMINS}/requests/${id}`).then((it) => it.status()), 200);
assert.equal(await erin.locator('details[data-verb="revoke"]').count(), 0, "an auditor decides nothing");
const verified = await admin("audit", "verify");
assert.equal(verified.code, 0, verified.text);
const why = await admin("audit", "why", image);
for (const text of ["user:alice", "user:bob"]) assert.ok(why.text.includes(text), why.text);
step(`the auditor proves it: ${verified.stdout.split("\n")[0]}`);

// --- and a revocation stops it --------------------------------------------------------------------------
await alice.goto(`${ADMINS}/images/${image}`);
await decide(alice, "revoke", "the key of its builder was stolen");
await alice.getByRole("status").waitFor();
const began = Date.now();
answer = await pull(image);
assert.notEqual(answer.code, 0, "revoked");
assert.match(answer.text, /[Rr]evoked/);
await picture(alice, "revoked", { guide: true });
step(`revoked; the next pull, ${Date.now() - began} ms later, is refused`);

// --- a finding that two people answer for, for a week ---------------------------------------------------
const lab = "registry.example/lab/cache:7.3";
answer = await pull(lab);
assert.match(answer.text, /CVE-2026-0771/);
const asked = await admin("exception", "ask", lab, "CVE-2026-0771", "--package", "openssl", "--until", "7d",
  "--reason", "openssl is not reached in the lab", "--ticket", "SEC-992", "--json");
assert.equal(asked.code, 0, asked.text);
await alice.goto(`${ADMINS}/exceptions`);
await alice.getByRole("link", { name: "X-1" }).click();
await alice.getByText("CVE-2026-0771 in openssl").first().waitFor();
await picture(alice, "exception", { guide: true });
await decide(alice, "grant", "the lab opens no connection out");
await alice.getByText("Your yes is on record").waitFor();
assert.notEqual((await pull(lab)).code, 0, "one yes is not enough");
await bob.goto(`${ADMINS}/exceptions/X-1`);
await decide(bob, "grant", "until the mended one is out");
await bob.getByText("Granted. It is in force").waitFor();
answer = await pull(lab);
assert.equal(answer.code, 0, answer.text);
step("an exception for a week, granted by alice and bob; the pull works");

// --- in an emergency ------------------------------------------------------------------------------------
const tool = "registry.example/tools/probe:1";
assert.notEqual((await pull(tool)).code, 0, "denied by its rule");
await bob.goto(`${ADMINS}/break-glass`);
await bob.getByText("Break the glass…").click();
await bob.getByLabel("Image or repository").fill(tool);
await bob.getByLabel("Why").fill("production is down, the probe finds why");
await bob.getByLabel("Ticket").fill("INC-77");
await bob.getByLabel("Code of your authenticator").fill(await fresh(people.bob));
await picture(bob, "break-glass", { guide: true, part: "details.choice" });
await bob.getByRole("button", { name: "Break the glass" }).click();
await bob.locator("section.glass").getByText("somebody else has to").waitFor();
answer = await pull(tool);
assert.equal(answer.code, 0, answer.text);
await alice.goto(`${ADMINS}/`);
await alice.locator(".glass-banner").waitFor();
await picture(alice, "banner", { guide: true, part: ".glass-banner" });
await bob.getByLabel("Why").last().fill("found");
await bob.getByRole("button", { name: "End it" }).click();
await bob.getByText("to be reviewed").waitFor();
assert.notEqual((await pull(tool)).code, 0, "it is over");
await alice.goto(`${ADMINS}/break-glass`);
await alice.getByLabel("Why").last().fill("INC-77 says the same");
await picture(alice, "review", { guide: true, part: "section.glass" });
await alice.getByRole("button", { name: "It was justified" }).click();
await alice.getByText("justified by").waitFor();
step("bob broke the glass with a code of his authenticator, everybody saw it, alice reviewed it");

await alice.goto(`${ADMINS}/health`);
await picture(alice, "health", { guide: true });
await alice.goto(`${ADMINS}/policy`);
await picture(alice, "policy", { guide: true });
await browser.close();
for (const problem of problems) console.error(`   ${problem}`);
assert.equal(problems.length, 0, "no error in the console, no request elsewhere, nothing that axe finds");
step("no error in the console, no request elsewhere, nothing that axe finds");
