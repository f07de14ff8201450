// The walk itself; run.sh starts what it needs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { TOOLS, OUT, ADMINS, PROVIDER, PROVIDER_PID, PRATIQUE, CONFIG, KEYS, TOKEN_FILE, CHROMIUM, LOCAL } =
  process.env;
const require = createRequire(`${TOOLS}/`);
const { chromium } = require("playwright-core");
const jsqr = require("jsqr");
const { PNG } = require("pngjs");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const TOKEN = readFileSync(TOKEN_FILE, "utf8").trim();
const PASSWORD = "a few words of mine";
const step = (text) => console.log(`   ${text}`);
const pratique = (...args) => execFileSync(PRATIQUE, [...args, "--config", CONFIG], { encoding: "utf8" }).trim();

// An authenticator, by RFC 6238 and nothing of ours.
const bytes = (base32) => {
  const bits = [...base32].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0"));
  return Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
};
const codeAt = (key, step) => {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", bytes(key)).update(counter).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
};
let used = 0;
// The next code that was not shown yet; one early is taken.
const nextCode = async (key) => {
  for (;;) {
    const now = Math.floor(Date.now() / 30_000);
    const next = Math.max(now, used + 1);
    if (next <= now + 1) {
      used = next;
      return codeAt(key, next);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
};

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const problems = [];
const visit = async (options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    const ours = message.location().url.startsWith(ADMINS);
    if (ours && ["error", "warning"].includes(message.type()) && !/status of (4\d\d|503)/.test(message.text()))
      problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`script: ${error}`));
  return page;
};
const axe = async (page, name) => {
  await page.screenshot({ path: `${OUT}/${KEYS}-${name}.png`, fullPage: true });
  const result = await page.context().newCDPSession(page).then(async (cdp) => {
    // Beside the page's own policy, which lets no script in.
    const { frameTree } = await cdp.send("Page.getFrameTree");
    const { executionContextId } = await cdp.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
    await cdp.send("Runtime.evaluate", { expression: AXE, contextId: executionContextId });
    const { result } = await cdp.send("Runtime.evaluate", {
      expression: "axe.run(document).then((it) => JSON.stringify(it.violations))",
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
    return JSON.parse(result.value);
  });
  for (const { id, nodes } of result) problems.push(`axe: ${name}: ${id}: ${nodes[0]?.html}`);
};
const signedIn = async (page) => (await page.context().request.get(`${ADMINS}/`, { maxRedirects: 0 })).status() === 200;

// --- by name ----------------------------------------------------------------------------------------------
const local = async (javaScriptEnabled) => {
  const name = javaScriptEnabled ? "alice" : "bob";
  const secret = pratique("user", "add", name, "--role", "approver", "--group", "security");
  const page = await visit({ javaScriptEnabled });
  await page.goto(`${ADMINS}/audit`);
  if (javaScriptEnabled) await axe(page, "login");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password, or one-time secret").fill(secret);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL(`${ADMINS}/login/enrol`);
  const key = (await page.locator("#key").textContent()).replaceAll(" ", "");
  if (javaScriptEnabled) {
    const picture = PNG.sync.read(await page.locator("img.key").screenshot());
    const read = jsqr(new Uint8ClampedArray(picture.data), picture.width, picture.height);
    assert.equal(read?.data, `otpauth://totp/Pratique:${name}?secret=${key}&issuer=Pratique&algorithm=SHA1&digits=6&period=30`);
    step("the QR code is read back");
    await axe(page, "enrol");
  }
  assert.ok(!(await signedIn(page)), "nothing is open before the enrolment");
  const choose = async (password, code) => {
    await page.getByLabel("New password").fill(password);
    await page.getByLabel("The same again").fill(password);
    await page.getByLabel("The code that it shows").fill(code);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  await choose("qwertyuiop123", "000000");
  await page.getByRole("alert").getByText("tried first").waitFor();
  used = 0;
  await choose(PASSWORD, await nextCode(key));
  await page.waitForURL(`${ADMINS}/audit`);
  await page.getByText(`user:${name}`).first().waitFor();
  step(`${name} came in with a one-time secret, chose a password and set up an authenticator`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password, or one-time secret").fill("a wrong password");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("alert").getByText("not right").waitFor();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password, or one-time secret").fill(PASSWORD);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL(`${ADMINS}/login/code`);
  if (javaScriptEnabled) await axe(page, "code");
  await page.getByLabel("Code of your authenticator").fill(codeAt(key, used));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("used already").waitFor();
  await page.getByLabel("Code of your authenticator").fill(await nextCode(key));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${ADMINS}/`);
  step(`${name} signed in with password and code; the same code twice was refused`);
  pratique("user", "disable", name);
  await page.goto(`${ADMINS}/`);
  await page.waitForURL(/\/login/);
  step(`disabled, and out at once`);
  pratique("user", "enable", name);
  return { name, key };
};
const person = LOCAL === "yes" ? await local(true) : undefined;
if (LOCAL === "yes") await local(false);

// --- at the provider --------------------------------------------------------------------------------------
const atProvider = async (page, who, path = "/audit") => {
  await page.goto(`${ADMINS}${path}`);
  await page.getByRole("link", { name: "Sign in with the house" }).click();
  await page.waitForURL(`${PROVIDER}/interaction/**`);
  await page.locator("[name=login]").fill(who);
  await page.locator("[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.waitForLoadState();
  await page.locator("button[type=submit]").click();
  await page.waitForURL((url) => url.href.startsWith(ADMINS));
};
for (const javaScriptEnabled of [true, false]) {
  const page = await visit({ javaScriptEnabled });
  await atProvider(page, "alice");
  await page.waitForURL(`${ADMINS}/audit`);
  await page.getByText(`oidc:${PROVIDER}#alice`).first().waitFor();
  assert.match(await page.locator(".who").textContent(), /Alice of Security.*approver/);
  const cookies = (await page.context().cookies()).filter((it) => it.name.startsWith("pratique"));
  assert.deepEqual(cookies.map((it) => [it.name, it.httpOnly, it.sameSite]), [["pratique-session", true, "Strict"]]);
  await page.reload();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${ADMINS}/login`);
  assert.ok(!(await signedIn(page)));
  step(`signed in at the provider as approver, and out again${javaScriptEnabled ? "" : ", without a script"}`);
}
const stranger = await visit();
await atProvider(stranger, "mallory");
await stranger.getByText("none of your groups has a role here").waitFor();
assert.ok((await stranger.content()).includes("&lt;b&gt;Mallory"), "a name is escaped");
assert.ok(!(await signedIn(stranger)));
step("somebody without a group that has a role stays out");

const listed = JSON.parse(pratique("user", "ls", "--json"));
const alice = listed.find((it) => it.id === `oidc:${PROVIDER}#alice`);
assert.deepEqual([alice.role, alice.groups, alice.state], ["approver", ["security", "staff"], "active"]);
pratique("user", "disable", alice.id);
const kept = await visit();
await atProvider(kept, "alice");
await kept.getByText("keeps you out").waitFor();
step("whom an administrator disabled stays out");

// --- without the provider ---------------------------------------------------------------------------------
process.kill(Number(PROVIDER_PID));
await new Promise((resolve) => setTimeout(resolve, 500));
const page = await visit();
await page.goto(`${ADMINS}/`);
await page.getByText("Sign in with a token").click();
await page.getByLabel("Token").fill(TOKEN);
await page.getByRole("button", { name: "Sign in" }).click();
await page.waitForURL(`${ADMINS}/`);
step("without the provider a token still works");
if (person) {
  const other = await visit();
  await other.goto(`${ADMINS}/`);
  await other.getByLabel("Name").fill(person.name);
  await other.getByLabel("Password, or one-time secret").fill(PASSWORD);
  await other.getByRole("button", { name: "Go on" }).click();
  await other.waitForURL(`${ADMINS}/login/code`);
  used = Math.max(used, Math.floor(Date.now() / 30_000));
  await other.getByLabel("Code of your authenticator").fill(await nextCode(person.key));
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.waitForURL(`${ADMINS}/`);
  step("and a password, too");
}
await browser.close();
writeFileSync(`${OUT}/problems-${KEYS}.txt`, problems.map((it) => `${it}\n`).join(""));
assert.deepEqual(problems, []);
