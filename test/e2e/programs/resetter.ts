/**
 * Greets and resets whoever calls PORT; PORT + 1 is for probes; on PORT + 2 it waits for the caller and tells how that one
 * ended: `resetter.ts PORT`.
 */
import { createServer } from 'node:net';

const port = Number(process.argv[2] ?? 8080);
createServer((socket) => {
  socket.on('error', () => {});
  socket.write('resetter\n', () => setImmediate(() => socket.resetAndDestroy()));
}).listen(port, '::');
createServer((socket) => socket.destroy()).listen(port + 1, '::');
createServer((socket) => {
  socket.write('resetter\n');
  socket.on('error', (error: NodeJS.ErrnoException) => process.stdout.write(`client ${error.code}\n`));
  socket.on('end', () => process.stdout.write('client FIN\n'));
}).listen(port + 2, '::');
