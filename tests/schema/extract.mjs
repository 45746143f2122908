// Takes the published JSON schemas of MCP out of the official conformance suite, which carries them inside its one file.
//
// extract.mjs NODE_FOLDER TO      writes TO/<revision>.json, and where they are from into TO/FROM
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const [folder, to] = process.argv.slice(2);
const home = path.join(folder, 'node_modules/@modelcontextprotocol/conformance');
const text = readFileSync(path.join(home, 'dist/index.js'), 'utf8');

// How each schema begins; the names that only the one revision has tell which is which.
const BEGINS = /\{\$schema:[`"'][^`"']+[`"'],(?:definitions|\$defs):\{Annotations:/g;
const REVISIONS = [
  ['2026-07-28', 'DiscoverResult'],
  ['2025-11-25', 'ElicitationCompleteNotification'],
  ['2025-06-18', 'ElicitResult'],
  ['2025-03-26', 'JSONRPCBatchResponse'],
];

// The end of the literal that begins at `from`: braces count, but not inside of strings.
function end(from) {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === '{') depth += 1;
    else if (sign === '}') {
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (sign === '`' || sign === '"' || sign === "'") {
      for (at += 1; text[at] !== sign; at += 1) if (text[at] === '\\') at += 1;
    }
  }
  throw new Error('a schema does not end');
}

mkdirSync(to, { recursive: true });
const missing = new Set(REVISIONS.map(([revision]) => revision));
for (const { index } of text.matchAll(BEGINS)) {
  const literal = text.slice(index, end(index));
  // An empty context: a literal needs nothing, and can reach nothing.
  const schema = vm.runInNewContext(`(${literal})`, Object.create(null), { timeout: 5_000 });
  const known = schema.$defs ?? schema.definitions;
  const found = REVISIONS.find(([, only]) => Object.hasOwn(known, only));
  if (!found || !missing.delete(found[0])) continue;
  writeFileSync(path.join(to, `${found[0]}.json`), `${JSON.stringify(schema, null, 1)}\n`);
}
if (missing.size > 0) throw new Error(`not found: ${[...missing].join(', ')}`);
const { name, version, license } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8'));
writeFileSync(path.join(to, 'FROM'), `${name} ${version}, ${license}\n`);
console.log([...REVISIONS.map(([revision]) => revision)].join(' '));
