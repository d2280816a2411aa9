// Clicks through the admin page in Chromium like an operator, and prints its report as one JSON object.
//
//     node page.mjs URL TOKEN FOLDER TENANTS
//
// TENANTS is a JSON object with the names of a `busy` tenant that clients visit all the time, of one to be `acted` on
// that they visit too, of a `quiet` one that has sessions and no visitors, and of a `bad` one. Pictures of pages
// and their HTML are put into FOLDER. It waits for what it wants to see and never for a time to pass.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [url, token, folder, written] = process.argv.slice(2);
const tenants = JSON.parse(written);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESK = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const SMALL = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true };
const MANNERS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-proxy-server"];
// Longer than any wait, so that a missing event ends the script.
const PATIENCE_MS = 60_000;
const ALL_MS = 240_000;

setTimeout(() => { console.error("the script is not done in time"); process.exit(3); }, ALL_MS).unref();
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: MANNERS });
const complaints = [];
let pages = 0;

// Opens a page in a separate context, and records its complaints and its requests to other servers. It leaves out the
// browser's own messages about answers other than 200, which some tests provoke.
const open = async (options = DESK, wantsRefusals = false) => {
  const context = await browser.newContext({ baseURL: url, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) =>
    console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`)));
  const complain = (text) => {
    if (!wantsRefusals || !text.startsWith("Failed to load resource")) complaints.push(`${page.url()}: ${text}`);
  };
  page.on("console", (said) => { if (["error", "warning"].includes(said.type())) complain(said.text()); });
  page.on("pageerror", (error) => complain(error.message));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(url) && !asked.startsWith("data:")) complain(`asks for ${asked}`);
  });
  page.on("dialog", (dialog) => complain(dialog.message()));
  return page;
};

const keep = async (page) => {
  pages += 1;
  writeFileSync(`${folder}/${pages}.html`, await page.content());
};

const go = async (page, path) => {
  const answer = await page.goto(path);
  await keep(page);
  return answer.status();
};

const api = async (tenant) => {
  const answer = await fetch(`${url}/api/tenants/${tenant}`);
  return answer.json();
};

const text = async (page, selector) => {
  const all = await page.locator(selector).allTextContents();
  return all.map((one) => one.replaceAll(/[ \n]+/g, " ").trim());
};

// The text of a list of facts under a label.
const fact = async (page, label) => {
  const row = page.locator(".facts > div").filter({ has: page.getByText(label, { exact: true }) });
  return (await row.first().locator("dd").textContent()).trim();
};

// The lines of the overview, as text.
const lines = async (page) => {
  const rows = await page.locator(".tenants tbody tr").all();
  return Promise.all(rows.map(async (row) => {
    const cell = (label) => row.locator(`td[data-label="${label}"]`);
    const points = async (label) => {
      const drawn = await cell(label).locator("polyline")
        .evaluateAll((all) => all.map((one) => one.getAttribute("points")));
      return drawn.join(" ").split(" ").filter((point) => point).length;
    };
    return {
      name: await row.locator("th a").textContent(),
      state: (await row.locator(".state").textContent()).trim(),
      resumed: await cell("Resumed").locator(".value").textContent(),
      handshakes: await cell("Handshakes").locator(".value").textContent(),
      points: [await points("Resumed"), await points("Handshakes")],
      words: await row.locator("svg title").allTextContents(),
    };
  }));
};

const overview = async () => {
  const page = await open();
  const status = await go(page, "/");
  await page.locator("#pulse.live").waitFor();
  const seen = { status, title: await page.title(), verdict: await text(page, ".verdict"), rows: await lines(page) };
  await page.context().close();
  return seen;
};

const search = async () => {
  const page = await open();
  await go(page, "/");
  const find = async (what) => {
    await page.getByRole("searchbox").fill(what);
    await page.getByRole("searchbox").press("Enter");
    await page.locator(".narrowed").filter({ hasText: what.trim().toLowerCase() }).waitFor();
    await keep(page);
    return text(page, ".tenants tbody th");
  };
  const seen = {
    byName: await find(tenants.busy),
    byLoudName: await find(` ${tenants.busy.toUpperCase()} `),
    byServerName: await find(`branch-7.${tenants.quiet}`),
    nobody: await find("<b>nobody</b>"),
  };
  await page.getByRole("link", { name: "Show all" }).click();
  await page.waitForURL((now) => now.search === "");
  seen.all = await text(page, ".tenants tbody th a");
  await page.context().close();
  return seen;
};

// Goes from the overview to a tenant by a click, and reads its page.
const look = async (tenant) => {
  const page = await open();
  await go(page, "/");
  await page.getByRole("link", { name: tenant, exact: true }).click();
  await page.waitForURL(`**/tenants/${tenant}`);
  await keep(page);
  const more = page.locator("#more-names summary");
  if (await more.count() > 0) await more.click();
  const visible = await page.locator(".names li")
    .evaluateAll((all) => all.filter((one) => one.checkVisibility()).length);
  const seen = {
    heading: await text(page, "h1"), state: await text(page, "#head .state"), sections: await text(page, "h2"),
    faults: await text(page, "#fault-lines-server li"), log: await text(page, "#log-lines-server li"),
    serverNames: visible, upstream: await fact(page, "Upstream"), component: await fact(page, "Component"),
    fuel: await fact(page, "fuel_per_s"), limits: await text(page, "#now tbody tr"),
    calls: await text(page, "#caches tbody th"),
  };
  await page.context().close();
  return seen;
};

// The page updates its numbers without a reload, and keeps the visitor's input.
const refresh = async () => {
  const page = await open();
  await go(page, `/tenants/${tenants.busy}`);
  await page.evaluate(() => { globalThis.isSameDocument = true; });
  await page.locator("#front .large").last().waitFor();
  const before = (await text(page, "#front .large"))[1];
  await page.locator(".crumb a").focus();
  await page.waitForFunction((old) => document.querySelectorAll("#front .large")[1].textContent !== old, before);
  const after = (await text(page, "#front .large"))[1];
  const seen = {
    before, after, isSame: await page.evaluate(() => globalThis.isSameDocument === true),
    focus: await page.evaluate(() => document.activeElement.textContent),
  };
  await page.clock.install();
  await go(page, "/");
  const row = page.locator(".tenants tbody tr", { has: page.getByRole("link", { name: tenants.busy, exact: true }) });
  await row.getByRole("link").focus();
  const number = row.locator(".value").last();
  const changed = number.filter({ hasNotText: await number.textContent() });
  await page.clock.runFor(6_000);
  await changed.waitFor();
  seen.link = await page.evaluate(() => document.activeElement.textContent);
  await page.context().close();
  return seen;
};

// While a token is half written nothing is fetched, however long that takes; once it is gone, it goes on. And when the
// server does not answer, the page says so.
const hold = async () => {
  const page = await open(DESK, true);
  await page.clock.install();
  await go(page, `/tenants/${tenants.busy}`);
  let asked = 0;
  page.on("request", () => { asked += 1; });
  await page.getByLabel("Token").fill("half a tok");
  await page.getByRole("link", { name: "All tenants" }).focus();
  await page.clock.runFor(60_000);
  const seen = { whileWritten: asked, says: await text(page, "#pulse") };
  seen.token = await page.getByLabel("Token").inputValue();
  await page.getByLabel("Token").fill("");
  await page.getByRole("link", { name: "All tenants" }).focus();
  await page.clock.runFor(10_000);
  await page.locator("#pulse.live").waitFor();
  seen.afterwards = asked;
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector("#caches h2")));
  asked = 0;
  await page.clock.runFor(60_000);
  seen.whileSelected = asked;
  await page.evaluate(() => getSelection().removeAllRanges());
  await page.route("**/tenants/*", (route) => route.abort());
  await page.clock.runFor(10_000);
  await page.locator("#stale").waitFor();
  seen.lost = [await text(page, "#pulse"), await text(page, "#stale")].flat();
  await page.unroute("**/tenants/*");
  await page.clock.runFor(10_000);
  await page.locator("#pulse.live").waitFor();
  seen.isStillStale = await page.locator("#stale").isVisible();
  await page.context().close();
  return seen;
};

// Presses a button under a token, and returns the server's answer.
const press = async (page, label, withToken) => {
  await page.getByLabel("Token").fill(withToken);
  const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.getByRole("button", { name: label }).click();
  const status = (await answered).status();
  await page.locator(".said:not([hidden])").waitFor();
  await keep(page);
  return { status, says: (await text(page, ".said:not([hidden])")).join(" "), at: new URL(page.url()).pathname };
};

const actions = async () => {
  const page = await open(DESK, true);
  const seen = {};
  await go(page, `/tenants/${tenants.acted}`);
  let posts = 0;
  page.on("request", (request) => { if (request.method() === "POST") posts += 1; });
  await page.getByLabel("Token").fill(token);
  await page.getByLabel("Token").press("Enter");
  await page.getByRole("button", { name: "Suspend the guest" }).focus();
  seen.byEnter = posts;
  await page.getByLabel("Token").fill("");
  await page.getByRole("button", { name: "Suspend the guest" }).click();
  seen.withoutToken = posts;
  seen.wrong = await press(page, "Suspend the guest", "a-token-of-somebody-else");
  seen.wrong.api = (await api(tenants.acted)).roles.server;
  seen.wrong.focus = await page.evaluate(() => document.activeElement.className);
  await page.reload();
  seen.wrong.reloaded = [new URL(page.url()).pathname, await page.locator(".said:not([hidden])").count()];
  seen.suspend = await press(page, "Suspend the guest", token);
  seen.suspend.state = await text(page, "#head .state");
  seen.suspend.api = (await api(tenants.acted)).roles.server;
  seen.resume = await press(page, "Resume the guest", token);
  // The page sees by itself that the guest runs again.
  await page.locator("#head .badge", { hasText: "running" }).waitFor();
  seen.resume.api = (await api(tenants.acted)).roles.server;
  seen.upgrade = await press(page, "Upgrade from file", token);
  seen.upgrade.upgrades = [await fact(page, "Upgrades"), (await api(tenants.acted)).roles.server.upgrades];
  await go(page, `/tenants/${tenants.quiet}`);
  const before = await fact(page, "In the vault");
  seen.revoke = await press(page, "Revoke all sessions", token);
  seen.revoke.sessions = [before, await fact(page, "In the vault"), (await api(tenants.quiet)).roles.server.sessions];
  await page.context().close();
  return seen;
};

// The same without scripts.
const withoutScript = async () => {
  const page = await open({ ...DESK, javaScriptEnabled: false });
  await go(page, "/");
  const seen = { rows: await lines(page), pulse: await page.locator("#pulse").isVisible() };
  await page.getByRole("searchbox").fill(tenants.acted);
  await page.getByRole("button", { name: "Find" }).click();
  await page.waitForURL("**/?q=*");
  seen.found = await text(page, ".tenants tbody th a");
  await page.getByRole("link", { name: tenants.acted, exact: true }).click();
  await page.waitForURL(`**/tenants/${tenants.acted}`);
  seen.suspend = await press(page, "Suspend the guest", token);
  seen.suspend.state = await text(page, "#head .state");
  seen.resume = await press(page, "Resume the guest", token);
  await page.context().close();
  return seen;
};

// The stops of the Tab key, in order, until it leaves the page.
const stops = async (page) => {
  const all = [];
  for (let presses = 0; presses < 200; presses += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const own = document.activeElement;
      if (!own || own === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(own);
      const { width, height, left, top } = own.getBoundingClientRect();
      const isOnScreen = width > 1 && height > 1 && left >= 0 && top >= 0 && top < innerHeight;
      const name = own.labels?.[0]?.textContent ?? own.getAttribute("aria-labelledby") ?? own.textContent;
      return { name: name.trim(), isSeen: isOnScreen && outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    });
    if (stop === null) return all;
    all.push(stop);
  }
  throw new Error("the Tab key does not leave the page");
};

const keyboard = async () => {
  const page = await open();
  await go(page, "/");
  const seen = { overview: await stops(page) };
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  seen.skippedTo = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("Tab");
  seen.firstLink = await page.evaluate(() => document.activeElement.textContent);
  await go(page, `/tenants/${tenants.acted}`);
  seen.tenant = await stops(page);
  const reach = async (is) => {
    for (let presses = 0; presses < 100; presses += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(is)) return;
    }
    throw new Error("the Tab key does not reach it");
  };
  await reach(() => document.activeElement.id === "token");
  await page.keyboard.type(token);
  await reach(() => document.activeElement.value === "suspend");
  await page.keyboard.press("Space");
  await page.locator(".said.done").waitFor();
  seen.done = [await text(page, ".said.done"), await text(page, "#head .state")].flat();
  await reach(() => document.activeElement.id === "token");
  await page.keyboard.type(token);
  await reach(() => document.activeElement.value === "resume");
  await page.keyboard.press("Enter");
  await page.locator(".said.done", { hasText: "asked again" }).waitFor();
  await page.context().close();
  return seen;
};

// Whether a page is wider than its window. A phone shows such a page smaller, and then says that its window is as wide.
const sideways = async (page, most) => {
  const width = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth));
  return width > most ? [{ url: page.url(), width, most }] : [];
};

// In windows of all widths, those too where the stylesheet has its turns.
const widths = async () => {
  const page = await open();
  const wider = [];
  for (const path of ["/", `/tenants/${tenants.quiet}`, `/tenants/${tenants.bad}`]) {
    await go(page, path);
    for (const width of [1920, 1201, 1200, 1024, 768, 641, 640, 500, 360]) {
      await page.setViewportSize({ width, height: 800 });
      wider.push(...await sideways(page, width));
    }
  }
  await page.context().close();
  return wider;
};

// Every page in every guise: what axe finds, whether anything scrolls sideways, and pictures.
const guises = async () => {
  const of = (tenant) => `/tenants/${tenant}`;
  const paths = { "": "/", tenant: of(tenants.busy), quiet: of(tenants.quiet), bad: of(tenants.bad),
    missing: of("nobody") };
  const all = { light: { ...DESK, colorScheme: "light" }, dark: { ...DESK, colorScheme: "dark" },
    phone: { ...PHONE, colorScheme: "light" }, small: SMALL };
  const seen = { checked: 0, passes: 0, violations: [], sideways: [], statuses: {} };
  for (const [guise, options] of Object.entries(all)) {
    const page = await open(options, true);
    for (const [name, path] of Object.entries(paths)) {
      seen.statuses[name] = await go(page, path);
      seen.sideways.push(...await sideways(page, options.viewport.width));
      const picture = [name, guise].filter((part) => part).join("-");
      await page.screenshot({ path: `${folder}/${picture}.png`, fullPage: true });
      if (options === SMALL) continue;
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run());
      seen.checked += 1;
      seen.passes += found.passes.length;
      // What is said of too short a text is that its contrast would not do.
      const shy = found.incomplete.filter(({ id }) => id === "color-contrast").flatMap(({ nodes }) => nodes)
        .filter((node) => node.any.some(({ message }) => message.includes("too short")));
      const both = [...found.violations, { id: "contrast-of-short-text", nodes: shy }];
      const told = ({ id, nodes }) => ({ guise, path, id, nodes: nodes.map((node) => node.html) });
      seen.violations.push(...both.filter(({ nodes }) => nodes.length > 0).map(told));
    }
    await page.context().close();
  }
  return seen;
};

try {
  const seen = {};
  const parts = { overview, search, quiet: () => look(tenants.quiet), bad: () => look(tenants.bad), refresh, hold,
    guises, widths, actions, withoutScript, keyboard };
  for (const [name, part] of Object.entries(parts)) seen[name] = await part();
  console.log(JSON.stringify({ ...seen, complaints, pages }));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
