/** Connects to all ports from FIRST to LAST of HOST, 100 at a time, and at last to 8080; prints what that last one was. */
import { connect } from 'node:net';

const [host = '', first = '1', last = '100'] = process.argv.slice(2);

function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5_000 });
    // Captured, every port accepts; what counts is whether somebody speaks.
    socket.on('data', () => {
      resolve('open');
      socket.destroy();
    });
    socket.on('timeout', () => socket.destroy(new Error('timeout')));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve('closed'));
  });
}

let next = Number(first);
await Promise.all(
  Array.from({ length: 100 }, async () => {
    while (next <= Number(last)) await knock(next++);
  }),
);
process.stdout.write(`${await knock(8080)}\n`);
