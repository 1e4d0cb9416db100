// What was executed, kept outside the server: every process appends lines to a file of its own, and the driver reads all
// of them at the end. A line lost or written twice by a queue shows here whatever the queue itself believes.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const directory = process.env.LEDGER;
let file;

/** Notes one execution. Written at once, so that a killed process leaves what it did. */
exports.note = (...words) => {
  file ??= fs.openSync(path.join(directory, `${process.pid}`), "a");
  fs.writeSync(file, words.join(" ") + "\n");
};

/** The words of every line of all processes whose first word is `topic`, in order of the last word, a time. */
exports.lines = (topic) => {
  const lines = [];
  for (const name of fs.readdirSync(directory)) {
    for (const line of fs.readFileSync(path.join(directory, name), "utf8").split("\n")) {
      const words = line.split(" ");
      if (words[0] === topic) lines.push(words.slice(1));
    }
  }
  return lines.sort((a, b) => Number(a.at(-1)) - Number(b.at(-1)));
};
