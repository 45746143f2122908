// The TypeScript clients as `matrix` drives them: a line in says where to, a line out says what was seen.
//
// matrix_client.mjs NODE_FOLDER v1|v2 legacy|auto
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import readline from 'node:readline';

const [folder, version, mode] = process.argv.slice(2);
const { resolve } = createRequire(path.join(path.resolve(folder), 'package.json'));
const load = (name) => import(pathToFileURL(resolve(name)));
const v1 = version === 'v1';
const { Client, StreamableHTTPClientTransport } = v1
  ? { ...(await load('@modelcontextprotocol/sdk/client/index.js')), ...(await load('@modelcontextprotocol/sdk/client/streamableHttp.js')) }
  : await load('@modelcontextprotocol/client');

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => console.log(JSON.stringify(what));
const told = (error) => `${error?.name} ${error?.code ?? ''} ${error?.message} ${JSON.stringify(error?.data ?? null)} ${error?.cause ?? ''}`;
const late = (ms) => new Promise((_, no) => setTimeout(() => no(new Error('no answer in time')), ms).unref());

async function attempt(cell, doing) {
  try {
    const result = await Promise.race([doing(), late(20_000)]);
    say({ cell, [result.isError ? 'error' : 'ok']: JSON.stringify(result) });
  } catch (error) {
    say({ cell, error: told(error) });
  }
}

async function waitFor(what) {
  say({ wait: what });
  await lines.next();
}

const weather = (client, input = { city: 'Oslo' }) => () => client.callTool({ name: 'get_weather', arguments: input });

async function first(client) {
  await attempt('list', () => client.listTools());
  await attempt('call', weather(client));
  await attempt('resource', () => client.readResource({ uri: 'file:///hello.txt' }));
  await attempt('prompt', () => client.getPrompt({ name: 'explain_file', arguments: { path: 'hello.txt' } }));
  await attempt('bad arguments', weather(client, { town: 'Oslo' }));
  await attempt('refused', () => client.callTool({ name: 'list_users', arguments: {} }));
  await waitFor('drain');
  await attempt('rate limited', weather(client));
}

async function second(client) {
  await weather(client)();
  await waitFor('revoke');
  await attempt('revoked in between', weather(client));
}

const order = JSON.parse((await lines.next()).value);
for (const [at, use] of [first, second].entries()) {
  const options = v1 || mode === 'legacy' ? {} : { versionNegotiation: { mode } };
  const client = new Client({ name: `matrix-${version}`, version: '1' }, options);
  const requestInit = { headers: order.headers[at] };
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(order.url), { requestInit }));
    await use(client);
  } catch (error) {
    console.error(told(error));
  }
  await Promise.race([client.close(), late(5_000)]).catch(() => {});
}
process.exit(0);
