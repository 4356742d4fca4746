/** Writes to HOST:PORT for SECONDS as fast as it is taken: `flood.ts HOST PORT SECONDS`; prints {sentBytes, stalledMs}. */
import { connect } from 'node:net';

const [host = '', port = '0', seconds = '1'] = process.argv.slice(2);
const chunk = Buffer.alloc(256 * 1024);
let lastProgress = Date.now();
let longest = 0;
const socket = connect({ host, port: Number(port) }, () => {
  const write = (): void => {
    longest = Math.max(longest, Date.now() - lastProgress);
    lastProgress = Date.now();
    if (socket.write(chunk)) setImmediate(write);
    else socket.once('drain', write);
  };
  write();
});
socket.on('error', () => {});
setTimeout(() => {
  const stalledMs = Math.max(longest, Date.now() - lastProgress);
  process.stdout.write(`${JSON.stringify({ sentBytes: socket.bytesWritten - socket.writableLength, stalledMs })}\n`);
  process.exit(0);
}, Number(seconds) * 1000);
