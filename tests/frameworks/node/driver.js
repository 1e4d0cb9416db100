// What both Node drivers share: connection, worker processes, waiting, and the report that tests/frameworks/run counts.
"use strict";

const { fork } = require("node:child_process");

exports.connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) };
exports.jobs = Number(process.env.JOBS ?? 1000);

const children = new Set();

/** Starts `node <file> <role> <arguments>`; resolves when the worker says that it is ready. */
exports.worker = (file, role, ...args) =>
  new Promise((resolve, reject) => {
    const child = fork(file, [role, ...args.map((arg) => JSON.stringify(arg))]);
    children.add(child);
    child.once("message", () => resolve(child));
    child.once("exit", (code, signal) => {
      children.delete(child);
      if (code !== 0 && signal !== "SIGKILL" && signal !== "SIGTERM") {
        reject(new Error(`worker ${role} ended with ${code ?? signal}`));
        process.exitCode = 1;
      }
    });
  });

/** Ends a worker and waits until it is gone. */
exports.stop = (child, signal = "SIGTERM") =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", resolve);
    child.kill(signal);
  });

/** Runs `body` with `count` workers, which are ended afterwards. */
exports.withWorkers = async (count, file, role, args, body) => {
  const workers = await Promise.all(Array.from({ length: count }, () => exports.worker(file, role, ...args)));
  try {
    return await body(workers);
  } finally {
    await Promise.all(workers.map((child) => exports.stop(child)));
  }
};

exports.sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition; what it last saw is in the failure. */
exports.until = async (what, condition, seconds = 120) => {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await condition();
    if (seen === true) return;
    if (Date.now() > deadline) throw new Error(`${what}: still ${JSON.stringify(seen)} after ${seconds} s`);
    await exports.sleep(20);
  }
};

/** Runs checks one after the other, prints `ok <name>: <figures>` for each; any failure ends the process with 1. */
exports.main = async (checks) => {
  // A driver that waits for ever would say nothing: the runner's own time limit only kills.
  try {
    for (const [name, check] of Object.entries(checks)) {
      if (process.env.ONLY && process.env.ONLY !== name) continue;
      const started = Date.now();
      const figures = await check();
      console.log(`ok ${name}: ${figures} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    }
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    for (const child of children) child.kill("SIGKILL");
    process.exit();
  }
};
