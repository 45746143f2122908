// The TypeScript client of one package in a session of an older revision: one line a check, exit 1 if one failed.
//
// sessions_client.mjs NODE_FOLDER     a line in says where to and with which token
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import readline from 'node:readline';

const { resolve } = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'));
const load = (name) => import(pathToFileURL(resolve(name)));
const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const types = await load('@modelcontextprotocol/sdk/types.js');

let failed = 0;
function check(name, good, seen) {
  failed += good ? 0 : 1;
  console.log(good ? `ok   typescript session: ${name}` : `FAIL typescript session: ${name}: ${JSON.stringify(seen)?.slice(0, 400)}`);
}
const text = (result) => result.content?.[0]?.text ?? '';
const late = (what) => new Promise((_, no) => setTimeout(() => no(new Error(`${what}: not in time`)), 10_000).unref());

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const order = JSON.parse((await lines.next()).value);
const options = { capabilities: { elicitation: {}, sampling: {} } };
const client = new Client({ name: 'sessions', version: '1' }, options);
const logged = [];
const changed = new Promise((yes) => client.setNotificationHandler(types.ToolListChangedNotificationSchema, yes));
client.setNotificationHandler(types.LoggingMessageNotificationSchema, (message) => { logged.push(message.params.data); });
client.setRequestHandler(types.ElicitRequestSchema, () => ({ action: 'accept', content: { username: 'ada', email: 'ada@example.org' } }));
client.setRequestHandler(types.CreateMessageRequestSchema, (asked) => ({
  role: 'assistant', model: 'm', content: { type: 'text', text: `went on from ${asked.params.messages[0].content.text}` },
}));
const transport = new StreamableHTTPClientTransport(new URL(order.url), { requestInit: { headers: order.headers } });
await client.connect(transport);
const session = transport.sessionId;
check('it has a session', /^[\x21-\x7e]{22,}$/.test(session ?? ''), session?.length);
const { tools } = await client.listTools();
check('list', tools.some((tool) => tool.name === 'test_elicitation'), tools.length);
const call = (name, input = {}) => Promise.race([client.callTool({ name, arguments: input }), late(name)]);
check('call', text(await call('test_simple_text')).includes('simple text'));
check('elicitation', text(await call('test_elicitation', { message: 'Who are you?' })).includes('ada@example.org'));
check('sampling', text(await call('test_sampling', { prompt: 'here' })) === 'LLM response: went on from here');
await client.setLoggingLevel('info');
await call('test_tool_with_logging');
check('its log', logged.length === 3 && logged[0] === 'Tool execution started', logged);
await client.subscribeResource({ uri: 'test://watched-resource' });
await call('test_trigger_tool_change');
check('its stream tells of tools', Boolean(await Promise.race([changed, late('a change')])));
await client.unsubscribeResource({ uri: 'test://watched-resource' });
check('it comes back for an answer', text(await call('test_reconnection')).includes('come back'));
await transport.terminateSession();
const headers = { ...order.headers, 'mcp-session-id': session, 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
const answer = await fetch(order.url, { method: 'POST', headers, body: ping });
check('it has ended the session', answer.status === 404, answer.status);
await client.close();
process.exit(failed ? 1 : 0);
