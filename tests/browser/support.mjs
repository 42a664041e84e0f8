// A browser, a database of a test's own, and the program under test on it.

import assert from "node:assert/strict";
import { after } from "node:test";
import { execFile, execFileSync, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const require = createRequire(join(process.env.MODULES, "node_modules", "x"));
const { chromium } = require("playwright-core");
const { MongoClient } = require("mongodb");

const program = process.env.STATEFOLD;
const scripts = join(import.meta.dirname, "..", "..", "scripts");
const places = { cwd: tmpdir(), env: { ...process.env, STATEFOLD_PAGE_TOKEN: "", USER: "ann" } };

let count = 0;
let browser;

after(() => browser?.close());

// The server of the tests, for the one that stops it.
export const mongod = (...words) => execFileSync(join(scripts, "mongod"), [...words, "--name", process.env.MONGOD_NAME]);

// A database of its own for one test, with the page about it in a browser. Whatever the test does, the page may not
// ask anybody but its server, nor report an error.
export class Bench {
  static async open(test, { context = {}, serve = [], problems = [], database } = {}) {
    const bench = new Bench();
    bench.database = database ?? `browser_${process.pid}_${++count}`;
    bench.client = await MongoClient.connect(process.env.MONGODB_URI);
    bench.db = bench.client.db(bench.database);
    bench.children = [];
    test.after(() => bench.close());
    bench.url = await bench.serve(...serve);
    browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
    bench.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...context });
    bench.page = await bench.context.newPage();
    bench.problems = [];
    bench.expected = problems;
    bench.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) bench.problems.push(message.text());
    });
    bench.page.on("pageerror", (error) => bench.problems.push(String(error)));
    bench.page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(bench.url).origin) bench.problems.push(`asked ${request.url()}`);
    });
    return bench;
  }

  // Starts `serve`, and gives its address.
  async serve(...more) {
    const child = this.spawn("serve", "--listen", "127.0.0.1:0", ...more);
    for await (const line of createInterface({ input: child.stderr })) {
      const found = line.match(/http:\/\/[^/]+\//);
      if (found) return found[0];
    }
    throw new Error("serve doesn't say where");
  }

  words(words) {
    return [...words, "--uri", process.env.MONGODB_URI, "--database", this.database];
  }

  // A verb that ends by itself.
  async run(...words) {
    return (await promisify(execFile)(program, this.words(words), places)).stdout;
  }

  // A verb that goes on.
  spawn(...words) {
    const child = spawn(program, this.words(words), { ...places, stdio: ["ignore", "ignore", "pipe"] });
    child.ended = new Promise((resolve) => child.on("exit", resolve));
    if (words[0] !== "serve") child.stderr.resume();
    this.children.push(child);
    return child;
  }

  async visit(path = "") {
    await this.page.goto(this.url + path);
    await this.sees("#connection", "live");
  }

  // Waits until an element has this text.
  async sees(selector, text) {
    await this.page.locator(selector, { hasText: text }).first().waitFor({ timeout: 120_000 });
  }

  async screenshot(name, options = {}) {
    if (!process.env.SCREENSHOTS) return;
    await this.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), ...options });
  }

  // Nothing may be wider than the window.
  async fits() {
    const [content, window] = await this.page.evaluate(() => {
      const root = document.documentElement;
      return [root.scrollWidth, root.clientWidth];
    });
    assert.ok(content <= window, `${content} pixels in ${window}`);
  }

  async close() {
    await this.context?.close();
    for (const child of this.children) {
      child.kill("SIGKILL");
      await child.ended;
    }
    await this.db.dropDatabase();
    await this.client.close();
    const unexpected = this.problems?.filter((text) => !this.expected.some((one) => text.includes(one)));
    assert.deepEqual(unexpected, [], "console and requests");
  }
}
