/**
 * The sample shop's server: HTTP/1.1 on PORT (8080), which tells who answered and who it thinks called. With PROTOCOL=tcp
 * it speaks first, as databases do, and echoes lines. Ends at once on SIGTERM, after its open answers.
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';

const port = Number(process.env.PORT ?? '8080');
const name = process.env.POD_NAME ?? process.env.HOSTNAME ?? 'echo';
const stop = (server: { close: (done: () => void) => unknown }): void => {
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
};

function callerOf(socket: Socket): string {
  return (socket.remoteAddress ?? '?').replace(/^::ffff:/, '');
}

if (process.env.PROTOCOL === 'tcp') {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    socket.write(`${name} ready for ${callerOf(socket)}\n`);
    socket.on('data', (data) => socket.write(data));
  });
  server.listen(port, '::', () => process.stdout.write(`listening on tcp ${port}\n`));
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    for (const socket of open) socket.end();
  });
} else {
  const server = createHttpServer((request, response) => {
    const answer = { pod: name, caller: callerOf(request.socket), method: request.method, path: request.url };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(answer)}\n`);
  });
  server.listen(port, '::', () => process.stdout.write(`listening on http ${port}\n`));
  stop(server);
}
