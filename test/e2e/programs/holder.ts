/**
 * Opens COUNT connections to HOST:PORT and keeps them: `holder.ts HOST PORT COUNT`. Prints `open N` when all are up, then one line
 * `end <code> <ms since open>` for each that ends. A line on its standard input is sent on every connection; `pong N` is
 * printed when N answers came back.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [host = '', port = '0', count = '1'] = process.argv.slice(2);
const sockets = new Set<Socket>();
let up = 0;
let answers = 0;

/** At most this many connects under way, so that a flood of them is not what is tested. */
const AT_ONCE = 200;
let begun = 0;

function open(): void {
  begun++;
  const socket = connect({ host, port: Number(port) });
  let greeted = false;
  const started = Date.now();
  socket.on('data', () => {
    if (greeted) {
      answers++;
      if (answers === sockets.size) process.stdout.write(`pong ${answers}\n`);
      return;
    }
    greeted = true;
    sockets.add(socket);
    if (++up === Number(count)) process.stdout.write(`open ${up}\n`);
    if (begun < Number(count)) open();
  });
  let code = 'FIN';
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? 'UNKNOWN';
  });
  socket.on('close', () => {
    sockets.delete(socket);
    process.stdout.write(`end ${code} ${Date.now() - started}\n`);
    if (sockets.size === 0 && up === Number(count)) process.exit(0);
  });
}

while (begun < Math.min(AT_ONCE, Number(count))) open();

createInterface({ input: process.stdin }).on('line', (line) => {
  answers = 0;
  for (const socket of sockets) socket.write(`${line}\n`);
});
