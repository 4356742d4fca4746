/**
 * TCP echo: `echo.ts PORT [NAME]`. The first line to each client is a greeting `NAME <client address> <client port>`, so that a test
 * sees who answered and whom the app saw; then every byte comes back. Half-close is answered by half-close.
 */
import { createServer } from 'node:net';
import { hostname } from 'node:os';

const [port = '8080', name = hostname()] = process.argv.slice(2);
createServer({ allowHalfOpen: true }, (socket) => {
  socket.write(`${name} ${socket.remoteAddress?.replace(/^::ffff:/, '')} ${socket.remotePort}\n`);
  socket.on('error', () => {});
  socket.pipe(socket);
}).listen(Number(port), '::');
process.on('SIGTERM', () => process.exit(0));
