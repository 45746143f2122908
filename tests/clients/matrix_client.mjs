// The TypeScript clients as `matrix` drives them: a line in says where to, a line out says what was seen.
//
// matrix_client.mjs NODE_FOLDER v1|v2 legacy|auto, or NODE_FOLDER remote: v1 behind `mcp-remote`, a bridge over standard streams
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import readline from 'node:readline';

const [folder, version, mode] = process.argv.slice(2);
const { resolve } = createRequire(path.join(path.resolve(folder), 'package.json'));
const load = (name) => import(pathToFileURL(resolve(name)));
const remote = version === 'remote';
const v1 = version === 'v1' || remote;
const { Client, StreamableHTTPClientTransport } = v1
  ? { ...(await load('@modelcontextprotocol/sdk/client/index.js')), ...(await load('@modelcontextprotocol/sdk/client/streamableHttp.js')) }
  : await load('@modelcontextprotocol/client');
const { StdioClientTransport } = remote ? await load('@modelcontextprotocol/sdk/client/stdio.js') : {};
const asks = v1 ? (await load('@modelcontextprotocol/sdk/types.js')).ElicitRequestSchema : 'elicitation/create';

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

async function third(client) {
  let steps = 0;
  const name = 'test_tool_with_progress';
  const call = (params, options) => (v1 ? client.callTool(params, undefined, options) : client.callTool(params, options));
  const done = await call({ name, arguments: {} }, { onprogress: () => { steps += 1; } });
  say({ cell: 'progress', ok: JSON.stringify(done), steps });
  await attempt('elicitation', () => call({ name: 'test_input_required_result_elicitation', arguments: {} }));
  const stop = new AbortController();
  const waiting = call({ name: 'test_waits', arguments: {} }, { signal: stop.signal }).catch(() => {});
  await waitFor('begun');
  stop.abort();
  await waiting;
  await waitFor('cancelled');
}

// Where the bridge keeps what it would know of logins, and a browser that nobody sees.
function bridge({ url, headers }) {
  const more = Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}:${value}`]);
  const script = path.join(path.resolve(folder), 'node_modules/mcp-remote/dist/proxy.js');
  const env = { ...process.env, MCP_REMOTE_CONFIG_DIR: process.env.MATRIX_FOLDER, BROWSER: 'true' };
  return new StdioClientTransport({ command: process.execPath, args: [script, url, ...more], env, stderr: 'pipe' });
}

const order = JSON.parse((await lines.next()).value);
for (const [at, use] of [first, second, third].entries()) {
  const place = order[at];
  if (!place) break;
  const capabilities = { elicitation: {} };
  const options = v1 || mode === 'legacy' ? { capabilities } : { capabilities, versionNegotiation: { mode } };
  const client = new Client({ name: `matrix-${version}`, version: '1' }, options);
  client.setRequestHandler(asks, async () => ({ action: 'accept', content: { name: 'Ada' } }));
  try {
    const requestInit = { headers: place.headers };
    const over = remote ? bridge(place) : new StreamableHTTPClientTransport(new URL(place.url), { requestInit });
    await Promise.race([client.connect(over), late(30_000)]);
    await use(client);
  } catch (error) {
    console.error(told(error));
  }
  await Promise.race([client.close(), late(5_000)]).catch(() => {});
}
process.exit(0);
