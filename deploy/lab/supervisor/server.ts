/** The lab's own API on a Unix socket: how the CLI asks and commands. */
import { chmodSync } from 'node:fs';
import type { Server } from 'node:http';
import { serveJson } from '../http.ts';
import { restartAgent, restartController, startController, stopController } from './commands.ts';
import type { Lab } from './lab.ts';
import type { Progress } from './progress.ts';
import { settlement } from './settled.ts';
import { labStatus, podRows } from './status.ts';

/** Routes: GET /progress (NDJSON until up or failed), /status, /pods, /settled; POST /restart, /stop, /start with `?target=`. */
export async function serve(socket: string, lab: Lab, progress: Progress): Promise<Server> {
  const server = serveJson({
    'GET /progress': (_query, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      const stop = progress.follow((event) => response.write(`${JSON.stringify(event)}\n`));
      response.on('close', stop);
    },
    'GET /status': () => labStatus(lab),
    'GET /pods': () => podRows(lab),
    'GET /settled': () => settlement(lab.sources.store.list('Deployment'), lab.cluster.view.list('Pod')),
    'POST /restart': (query) => {
      const target = query.get('target') ?? '';
      if (target === 'controller') return restartController(lab);
      return restartAgent(lab, target, query.get('kill') === 'true');
    },
    'POST /stop': (query) => stopController(lab, query.get('target') ?? ''),
    'POST /start': (query) => startController(lab, query.get('target') ?? ''),
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  chmodSync(socket, 0o600);
  return server;
}
