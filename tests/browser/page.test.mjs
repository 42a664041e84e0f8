// What an operator sees of a database at work.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Bench, mongod } from "./support.mjs";

// Slow enough to be looked at. A fixture has what the application built as generation 2, so the first one is 3.
const SLOWLY = ["--readers", "1", "--threads", "1", "--batch-commits", "50"];

test("a rebuild from start to flip", async (test) => {
  const bench = await Bench.open(test);
  await bench.run("fixture", "--commits", "20000");
  await bench.visit();
  await bench.sees("#title h1", bench.database);
  await bench.sees(".lane", "No generation yet.");
  await bench.sees(".tile", "takes events");
  const rebuild = bench.spawn("rebuild", "Assets", "--yes", ...SLOWLY, "--batch-docs", "20");
  await bench.sees(".lane .steps [aria-current=step]", "build");
  await bench.sees(".tile.busy", "Assets");
  await bench.sees(".generations .building", "Generation 3");
  assert.equal(await rebuild.ended, 0);
  await bench.sees(".generations .active", "readers are here");
  await bench.sees(".generations .active", "States_Assets3");
  await bench.sees(".lane .badge.good", "up to date");
  await bench.page.locator(".lane .steps").waitFor({ state: "detached" });
  await bench.sees("#said", "Readers of Assets use generation 3.");
});

test("a run that leads shows its own page, with commits and their rate", async (test) => {
  const bench = await Bench.open(test);
  await bench.run("fixture", "--commits", "60000");
  const rebuild = bench.spawn("rebuild", "Assets", "--yes", "--listen", "127.0.0.1:0", ...SLOWLY, "--batch-docs", "2");
  let said = "";
  rebuild.stderr.on("data", (data) => { said += data; });
  while (!/http:\/\/[^/]+\//.test(said)) await new Promise((done) => setTimeout(done, 20));
  [bench.url] = said.match(/http:\/\/[^/]+\//);
  await bench.page.goto(bench.url);
  await bench.sees(".lane .bar", "commits");
  // While it is paused its page is there, however fast the machine.
  await bench.run("pause", "Assets", "--yes");
  await bench.sees(".lane .pace", "commits/s");
  await bench.page.locator(".lane .pace .curve svg polyline").waitFor({ state: "attached" });
});

test("a pause is said in large type, with who paused it", async (test) => {
  const bench = await Bench.open(test, { database: "Squidex" });
  await bench.run("fixture", "--commits", "20000");
  await bench.run("rebuild", "--yes");
  await bench.visit();
  const rebuild = bench.spawn("rebuild", "Assets", "--yes", "--lease-ttl", "10s", ...SLOWLY, "--batch-docs", "2");
  await bench.sees(".generations .building", "Generation 4");
  await bench.run("pause", "Assets", "--yes", "--reason", "a backup runs");
  await bench.sees(".waits", "waiting because");
  await bench.sees(".waits", "a backup runs");
  await bench.sees(".commands", "resume Assets");
  await bench.page.setViewportSize({ width: 1280, height: 1080 });
  await bench.screenshot("page-light");
  await bench.page.emulateMedia({ colorScheme: "dark" });
  await bench.screenshot("page-dark");
  const size = await bench.page.locator(".waits").evaluate((element) => parseFloat(getComputedStyle(element).fontSize));
  assert.ok(size >= 20, `${size} px`);
  await bench.run("resume", "Assets", "--yes");
  assert.equal(await rebuild.ended, 0);
  await bench.sees(".generations .kept", "Generation 3");
  await bench.sees(".generations .active", "Generation 4");
});

test("a fence says why, and since when", async (test) => {
  const bench = await Bench.open(test);
  await bench.run("fixture", "--commits", "100");
  await bench.visit();
  await bench.run("read-only", "on", "--yes", "--reason", "clone and switch");
  await bench.sees(".tile.bad", "refuses events");
  await bench.sees(".tile.bad", "clone and switch");
  await bench.sees(".tile.bad", "since");
  await bench.sees("#said", "The event store refuses events.");
  await bench.run("read-only", "off", "--yes");
  await bench.sees(".tile.good", "takes events");
});

test("a failed stream shows its reason and its event, and stays open", async (test) => {
  const bench = await Bench.open(test);
  await bench.run("fixture", "--commits", "500");
  const events = bench.db.collection("Events2");
  const commit = await events.findOne({ EventStream: /^asset-/, EventStreamOffset: -1 });
  await events.updateOne({ _id: commit._id }, { $set: { "Events.0.Payload": "{ no json" } });
  await bench.visit();
  await assert.rejects(bench.run("rebuild", "Assets", "--yes"));
  await bench.sees("#failed .reasons", "1");
  await bench.page.locator("#failed summary").press("Enter");
  await bench.sees("#failed pre", "{ no json");
  await bench.sees("#failed pre", commit.EventStream);
  // The panel is replaced when one more fails.
  const other = await events.findOne({ EventStream: { $regex: /^asset-/, $ne: commit.EventStream }, EventStreamOffset: -1 });
  await events.updateOne({ _id: other._id }, { $set: { "Events.0.Payload": "{ no json" } });
  await assert.rejects(bench.run("rebuild", "Assets", "--fresh", "--yes"));
  await bench.sees("#failed .reasons", "2");
  await bench.run("rebuild", "Assets", "--max-errors", "5", "--yes");
  await bench.sees(".lane .note", "2 streams");
});

test("dark is dark", async (test) => {
  const bench = await Bench.open(test, { context: { colorScheme: "dark" } });
  await bench.run("fixture", "--commits", "100");
  await bench.visit();
  const ground = () => bench.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const brightness = (color) => Math.max(...color.match(/\d+/g).slice(0, 3).map(Number));
  assert.ok(brightness(await ground()) < 60, await ground());
  await bench.page.emulateMedia({ colorScheme: "light" });
  assert.ok(brightness(await ground()) > 200, await ground());
});

test("a phone shows all of it without scrolling sideways", async (test) => {
  const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
  const bench = await Bench.open(test, { context: phone, database: "Squidex" });
  await bench.run("fixture", "--commits", "20000");
  await bench.run("rebuild", "--yes");
  await bench.visit();
  bench.spawn("rebuild", "Assets", "--yes", "--lease-ttl", "10s", ...SLOWLY, "--batch-docs", "2");
  await bench.sees(".generations .building", "Generation 4");
  await bench.run("pause", "Assets", "--yes", "--reason", "a backup runs");
  await bench.sees(".waits", "a backup runs");
  await bench.fits();
  await bench.screenshot("page-phone");
  await bench.run("read-only", "on", "--yes", "--reason", "a reason without any space: " + "x".repeat(80)).catch(() => {});
  await bench.fits();
});

test("a command is copied by the keyboard alone", async (test) => {
  const bench = await Bench.open(test, { context: { permissions: ["clipboard-read", "clipboard-write"] } });
  await bench.run("fixture", "--commits", "100");
  await bench.visit();
  await bench.sees(".commands code", "statefold rebuild");
  const focused = () => bench.page.evaluate(() => document.activeElement.id);
  for (let tabs = 0; (await focused()) !== "copy-0"; tabs++) {
    assert.ok(tabs < 10, "the button can't be reached by Tab");
    await bench.page.keyboard.press("Tab");
  }
  await bench.page.keyboard.press("Enter");
  await bench.sees("#copy-0", "Copied");
  const copied = await bench.page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^statefold rebuild .*--yes/);
  // Its part of the page is replaced meanwhile, by what nobody at work hides.
  await bench.db.collection("Migration").insertOne({ _id: "Default", IsLocked: true, Version: 1 });
  await bench.sees("#command-0", "statefold lock show");
  assert.equal(await focused(), "copy-0");
});

test("without its token the page isn't shown", async (test) => {
  const refused = "401";
  const bench = await Bench.open(test, { serve: ["--page-token", "secret"], problems: [refused] });
  await bench.run("fixture", "--commits", "100");
  for (const [path, headers, status] of [
    ["", {}, 401],
    ["events", {}, 401],
    ["?token=secrets", {}, 401],
    ["", { authorization: "Bearer nothing" }, 401],
    ["", { authorization: "Bearer secret" }, 200],
    ["livez", {}, 200],
  ]) {
    assert.equal((await fetch(bench.url + path, { headers })).status, status, `${path} ${JSON.stringify(headers)}`);
  }
  await bench.visit("?token=secret");
  await bench.sees("#title h1", bench.database);
});

test("a page under another name isn't shown to the site of that name", async (test) => {
  const bench = await Bench.open(test);
  const { request } = await import("node:http");
  const status = await new Promise((done) => {
    const headers = { host: "elsewhere.example" };
    request(bench.url, { headers }, (response) => done(response.resume().statusCode)).end();
  });
  assert.equal(status, 421);
});

test("Ctrl-C ends it at once, although somebody watches", async (test) => {
  const bench = await Bench.open(test, { problems: ["ERR_"] });
  await bench.run("fixture", "--commits", "100");
  await bench.visit();
  const began = Date.now();
  bench.children[0].kill("SIGINT");
  assert.equal(await bench.children[0].ended, 0);
  assert.ok(Date.now() - began < 2000);
  await bench.sees("#connection", "connection lost");
});

test("a database that is gone is said, and found again", async (test) => {
  const bench = await Bench.open(test);
  await bench.run("fixture", "--commits", "100");
  await bench.visit();
  await bench.sees(".tile", "takes events");
  mongod("stop");
  await bench.sees(".problem", "The database can't be reached");
  await bench.sees(".problem", "What is below was seen");
  mongod("start");
  await bench.page.locator(".problem").waitFor({ state: "detached", timeout: 120_000 });
});
