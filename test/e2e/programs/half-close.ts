/** Sends 1 MiB to an echo server and finishes sending; counts what comes back after that: `half-close.ts HOST PORT`. */
import { connect } from 'node:net';

const [host = '', port = '0'] = process.argv.slice(2);
let received = -1;
const socket = connect({ host, port: Number(port), allowHalfOpen: true });
socket.end(Buffer.alloc(1024 * 1024, 'x'));
let greeting = '';
socket.on('data', (chunk: Buffer) => {
  if (received >= 0) {
    received += chunk.length;
    return;
  }
  greeting += chunk.toString('latin1');
  const newline = greeting.indexOf('\n');
  if (newline >= 0) received = greeting.length - newline - 1;
});
socket.on('end', () => process.stdout.write(`after-fin ${received} bytes\n`));
