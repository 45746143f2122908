// The official TypeScript client, calling a tool without a pause until its standard input ends: says what it has seen.
//
// caller.mjs NODE_FOLDER URL TOKEN_FILE     one JSON line: calls, connections, and the first failures
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, url, tokenFile] = process.argv.slice(2);
const { resolve } = createRequire(path.join(path.resolve(folder), 'package.json'));
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(resolve('@modelcontextprotocol/client')));
const token = fs.readFileSync(tokenFile, 'utf8').trim();
const CALLERS = 4;
const seen = { calls: 0, connections: 0, failed: 0, failures: [], revisions: [] };

let over = false;
process.stdin.on('data', () => {}).on('end', () => { over = true; });

function fail(what) {
  seen.failed += 1;
  if (seen.failures.length < 5) seen.failures.push(String(what).slice(0, 300));
}

// Calls through one client, `each` times, then through the next.
async function callUntil(each) {
  while (!over) {
    const client = new Client({ name: 'fleet', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    try {
      const requestInit = { headers: { Authorization: `Bearer ${token}` } };
      await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
      seen.connections += 1;
      const revision = client.getNegotiatedProtocolVersion();
      if (!seen.revisions.includes(revision)) seen.revisions.push(revision);
      for (let turn = 0; turn < each && !over; turn += 1) {
        const city = `City ${turn % 7}`;
        const called = await client.callTool({ name: 'get_weather', arguments: { city } });
        seen.calls += 1;
        if (called.isError || called.structuredContent.city !== city) fail(JSON.stringify(called));
      }
    } catch (error) {
      fail(`${error?.name} ${error?.code ?? ''} ${error?.message} ${error?.cause ?? ''}`);
      await new Promise((go) => setTimeout(go, 100));
    }
    await client.close().catch(() => {});
  }
}

await Promise.all(Array.from({ length: CALLERS }, (_, n) => callUntil(n % 2 ? 10 : Infinity)));
console.log(JSON.stringify(seen));
process.exit(0);
