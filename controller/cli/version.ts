import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Verb } from './context.ts';
import { EXIT } from './errors.ts';

const PACKAGE = z.object({ version: z.string() });

export const VERSION: Verb = {
  name: 'version',
  summary: 'the version of this command',
  help: 'Usage: aquifer version',
  run: async (_args, context) => {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    context.out(`aquifer ${PACKAGE.parse(JSON.parse(text)).version} (node ${process.version})\n`);
    return EXIT.ok;
  },
};
