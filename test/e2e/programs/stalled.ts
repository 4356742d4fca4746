/** Accepts on PORT and never reads; `stalled.ts PORT`. PORT + 1 is there for probes. */
import { createServer } from 'node:net';

const port = Number(process.argv[2] ?? 8080);
createServer((socket) => {
  socket.pause();
  socket.on('error', () => {});
}).listen(port, '::');
createServer((socket) => socket.destroy()).listen(port + 1, '::');
