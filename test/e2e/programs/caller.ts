/**
 * Calls HOST:PORT again and again: `caller.ts HOST PORT SECONDS [CONCURRENCY]`. Each call connects, reads the greeting, sends one
 * line, wants it back, closes. Prints one JSON line at the end: {calls, failures, errors: {code: n}, answeredBy: {name: n}, slowestMs}.
 */
import { connect } from 'node:net';

const [host = '', port = '0', seconds = '1', concurrency = '1'] = process.argv.slice(2);
const until = Date.now() + Number(seconds) * 1000;
const result = {
  calls: 0,
  failures: 0,
  errors: {} as Record<string, number>,
  answeredBy: {} as Record<string, number>,
  slowestMs: 0,
};

function call(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), timeout: 10_000 });
    let text = '';
    socket.setEncoding('utf8');
    socket.on('timeout', () => socket.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
    socket.on('error', reject);
    socket.on('connect', () => socket.write('ping\n'));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.endsWith('ping\n')) socket.end();
    });
    socket.on('close', () => {
      if (text.endsWith('ping\n')) resolve(text.split(' ')[0] ?? '');
      else reject(Object.assign(new Error('short answer'), { code: 'SHORT' }));
    });
  });
}

async function loop(): Promise<void> {
  while (Date.now() < until) {
    const started = performance.now();
    try {
      const name = await call();
      result.answeredBy[name] = (result.answeredBy[name] ?? 0) + 1;
    } catch (error) {
      const code = (error as { code?: string }).code ?? 'UNKNOWN';
      result.failures++;
      result.errors[code] = (result.errors[code] ?? 0) + 1;
    }
    result.calls++;
    result.slowestMs = Math.max(result.slowestMs, Math.round(performance.now() - started));
  }
}

await Promise.all(Array.from({ length: Number(concurrency) }, loop));
process.stdout.write(`${JSON.stringify(result)}\n`);
