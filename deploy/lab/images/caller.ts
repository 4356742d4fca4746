/**
 * Calls others without end: CALLS is a comma-separated list of http://host:port/path and tcp://host:port, each called
 * every INTERVAL_MS (500) on a connection of its own. Says when a result turns, not each call.
 */
import { get } from 'node:http';
import { connect } from 'node:net';

const TIMEOUT_MS = 5_000;
const targets = (process.env.CALLS ?? '').split(',').filter(Boolean);
const intervalMs = Number(process.env.INTERVAL_MS ?? '500');
const last = new Map<string, string>();

function callHttp(target: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(target, { agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      response.on('end', () => resolve(`status ${response.statusCode}`));
      response.on('error', (error) => resolve(error.message));
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

function callTcp(target: string): Promise<string> {
  const { hostname, port } = new URL(target);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), timeout: TIMEOUT_MS });
    socket.on('data', () => {
      socket.end('bye\n');
      resolve('greeted');
    });
    socket.on('timeout', () => socket.destroy(new Error('timeout')));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed without a word'));
  });
}

async function call(target: string): Promise<void> {
  const result = target.startsWith('tcp:') ? await callTcp(target) : await callHttp(target);
  if (last.get(target) !== result) process.stdout.write(`${new Date().toISOString()} ${target}: ${result}\n`);
  last.set(target, result);
  setTimeout(() => void call(target), intervalMs);
}

process.on('SIGTERM', () => process.exit(0));
if (targets.length === 0) process.stdout.write('CALLS is empty: nothing to do\n');
for (const target of targets) void call(target);
// Also with nothing to call: a pod to look around in.
setInterval(() => {}, 60_000);
