// Reads [{ name, text }] from standard input and writes [{ name, line, text, scopes }], one for each token that is not
// white space; `scopes` are those beyond the grammar's own.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import oniguruma from "vscode-oniguruma";
import textmate from "vscode-textmate";

const require = createRequire(import.meta.url);
const grammarPath = new URL("../vscode/syntaxes/gw.tmLanguage.json", import.meta.url);
const wasm = readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));

const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async () => textmate.parseRawGrammar(readFileSync(grammarPath, "utf8"), "gw.tmLanguage.json"),
});
const grammar = await registry.loadGrammar("source.gw");

const tokens = [];
for (const { name, text } of JSON.parse(readFileSync(0, "utf8"))) {
  let state = textmate.INITIAL;
  text.split("\n").forEach((line, index) => {
    const found = grammar.tokenizeLine(line, state);
    state = found.ruleStack;
    for (const token of found.tokens) {
      const part = line.slice(token.startIndex, token.endIndex);
      if (part.trim() !== "") {
        const scopes = token.scopes.filter((scope) => scope !== "source.gw");
        tokens.push({ name, line: index + 1, text: part.trim(), scopes });
      }
    }
  });
}
process.stdout.write(JSON.stringify(tokens));
